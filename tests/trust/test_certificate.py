"""A certificate is good for one role, from one authority, at one time; else the reason is told."""

import shutil
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.errors import Refused
from src.trust import certificate as module
from src.trust.certificate import AGGREGATOR, DESK, ENCRYPTION, SITE, CertificatePath
from tests import ceremonies
from tests.ceremonies import ADDRESS, Clock

LEAVES = {
    SITE: "one/cert/client/col_one.crt",
    ENCRYPTION: "one/cert/encryption/col_one.crt",
    AGGREGATOR: f"aggregator/cert/server/agg_{ADDRESS}.crt",
    DESK: "desk/desk.crt",
}


@pytest.fixture
def chain(parties):
    return CertificatePath.read(parties / "one/cert/cert_chain.crt")


@pytest.mark.parametrize("role", LEAVES, ids=lambda role: role.name)
def test_a_leaf_has_its_role_and_no_other(parties, chain, clock, role):
    leaf = module.read_certificate(parties / LEAVES[role])
    assert module.role_of(leaf) == role
    for other in LEAVES:
        if other == role:
            chain.check(leaf, other, name="x", now=clock())
        else:
            with pytest.raises(Refused, match=f"certificate for {role.name}, expected one for"):
                chain.check(leaf, other, name="x", now=clock())


def test_an_authoritys_certificate_is_no_leaf(chain, clock):
    assert module.role_of(chain.signing) is None


def test_openfls_own_certificate_has_no_role():
    from openfl.cryptography.ca import generate_root_cert, sign_certificate
    from openfl.cryptography.participant import generate_csr

    key, root = generate_root_cert()
    leaf = sign_certificate(generate_csr("one")[1], key, root.subject)
    assert module.role_of(leaf) is None


def test_expired_and_not_yet_valid_are_told_apart(parties, chain, clock):
    leaf = module.read_certificate(parties / LEAVES[SITE])
    with pytest.raises(Refused, match=r"expired at .*Is this clock right.* ask the desk to renew"):
        chain.check(leaf, SITE, name="x", now=clock() + timedelta(days=91))
    with pytest.raises(Refused, match=r"not valid before .*Check this machine's clock"):
        chain.check(leaf, SITE, name="x", now=clock() - timedelta(days=1))


def test_another_authoritys_leaf_of_the_same_names_is_refused(parties, tmp_path, clock):
    ceremonies.create_desk(tmp_path / "desk", clock)  # the same federation's name
    authority = ceremonies.open_desk(tmp_path / "desk", clock).authority
    leaf = module.read_certificate(parties / LEAVES[SITE])
    foreign = CertificatePath(authority.signing, authority.root)
    with pytest.raises(Refused, match="not issued by this federation's authority"):
        foreign.check(leaf, SITE, name="x", now=clock())


@pytest.mark.parametrize("content", ["", "nonsense", "only one"])
def test_a_chain_that_is_none_is_refused(parties, tmp_path, content):
    if content == "only one":
        content = (parties / "desk" / "root.crt").read_text()
    (tmp_path / "chain").write_text(content)
    with pytest.raises(Refused, match="expected two certificates"):
        CertificatePath.read(tmp_path / "chain")


def test_a_leaf_cannot_stand_in_the_chain_as_an_authority(parties, tmp_path):
    texts = [(parties / path).read_text() for path in (LEAVES[DESK], "desk/signing.crt")]
    (tmp_path / "chain").write_text("".join(texts))
    with pytest.raises(Refused, match=r"not issued by|no authority"):
        CertificatePath.read(tmp_path / "chain")


def test_a_key_open_to_others_is_refused(parties):
    path = parties / "one/cert/client/col_one.key"
    leaf = module.read_certificate(path.with_suffix(".crt"))
    module.read_key(path, leaf)
    path.chmod(0o640)
    with pytest.raises(Refused, match="chmod 600"):
        module.read_key(path, leaf)


def test_anothers_key_and_no_key_are_refused(parties):
    path = parties / "one/cert/client/col_one.key"
    leaf = module.read_certificate(path.with_suffix(".crt"))
    shutil.copy2(parties / "two/cert/client/col_two.key", path)
    with pytest.raises(Refused, match=r"is not the key of one\."):
        module.read_key(path, leaf)
    path.write_text("nonsense")
    with pytest.raises(Refused, match="not a private key"):
        module.read_key(path, leaf)
    path.unlink()
    with pytest.raises(Refused, match="never sent"):
        module.read_key(path, leaf)


NAMES = st.from_regex(r"[a-z][a-z0-9-]{0,23}", fullmatch=True)


@given(NAMES, st.integers(1, 2**127 - 1))
def test_common_names_are_unique_to_an_issue_and_fit_x509(name, serial):
    text = module.common_name(name, serial)
    assert module.parse_common_name(text) == (name, serial)
    assert len(text) <= 64


@pytest.mark.parametrize("text", ["one", "one.12", "." + "0" * 32, "one." + "z" * 32])
def test_other_common_names_are_no_sites(text):
    with pytest.raises(Refused, match=r"common name|invalid literal"):
        module.parse_common_name(text)


def test_the_clock_is_utc():
    assert abs(module.utc_now() - Clock(module.utc_now())()) < timedelta(seconds=5)
