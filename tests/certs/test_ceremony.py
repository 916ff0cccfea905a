"""The desk signs what was enrolled and compared, and nothing else."""

import json
import shutil
import subprocess
import zipfile

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from certs.authority import Authority
from certs.policy import Policy
from src.errors import InputError, Refused
from src.trust import fingerprint
from src.trust.certificate import (
    AGGREGATOR,
    SITE,
    parse_common_name,
    read_certificate,
    utc_now,
)
from tests import ceremonies
from tests.ceremonies import ADDRESS, PASSPHRASE, SITES, make_request, open_desk, words_of


@pytest.fixture
def desk(parties, clock):
    return open_desk(parties / "desk", clock)


@pytest.fixture
def new_site(desk, tmp_path):
    """A third site, enrolled, with an empty workspace."""
    desk.enrol("three", SITE)
    return tmp_path / "three"


def issued(desk) -> int:
    return len(desk.register.issued)


def openssl_verify(parties, path, purpose: str, *extra: str) -> subprocess.CompletedProcess:
    desk = parties / "desk"
    how = ("-x509_strict", "-purpose", purpose, "-attime", at(), *extra)
    chain = ("-CAfile", desk / "root.crt", "-untrusted", desk / "signing.crt")
    command = ["openssl", "verify", *how, *chain, path]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def at() -> str:
    return str(int(ceremonies.START.timestamp()) + 60)


GOOD_FOR = {
    f"aggregator/cert/server/agg_{ADDRESS}.crt": "sslserver",
    "one/cert/client/col_one.crt": "sslclient",
    "one/cert/encryption/col_one.crt": "smimeencrypt",
    "desk/desk.crt": "smimesign",
}


@pytest.mark.parametrize(("path", "purpose"), GOOD_FOR.items())
def test_openssl_accepts_each_certificate_strictly_for_its_purpose_and_no_other(
    parties, path, purpose
):
    for tried in ("sslserver", "sslclient", "smimeencrypt", "smimesign"):
        shown = openssl_verify(parties, parties / path, tried)
        assert (shown.returncode == 0) == (tried == purpose), (tried, shown.stdout, shown.stderr)


def test_openssl_is_able_to_refuse_openfls_own_certificates_strictly(tmp_path):
    from openfl.cryptography.ca import generate_root_cert, sign_certificate
    from openfl.cryptography.participant import generate_csr

    key, root = generate_root_cert()
    _, csr = generate_csr("one")
    leaf = sign_certificate(csr, key, root.subject)
    for name, certificate in (("root", root), ("leaf", leaf)):
        (tmp_path / name).write_bytes(certificate.public_bytes(ceremonies.PEM))
    shown = subprocess.run(
        ["openssl", "verify", "-x509_strict", "-CAfile", tmp_path / "root", tmp_path / "leaf"],
        capture_output=True,
        check=False,
    )
    assert shown.returncode != 0


def test_keys_of_the_authority_are_encrypted_and_for_the_owner_alone(parties):
    folder = parties / "desk"
    assert folder.stat().st_mode & 0o077 == 0
    for name in ("root", "signing", "desk"):
        path = folder / f"{name}.key"
        assert b"ENCRYPTED" in path.read_bytes()
        assert path.stat().st_mode & 0o077 == 0
        with pytest.raises(TypeError):
            load_pem_private_key(path.read_bytes(), None)


def test_a_wrong_passphrase_opens_nothing(parties, clock):
    authority = Authority(parties / "desk", lambda: b"another passphrase", clock)
    with pytest.raises(Refused, match="does not open"):
        authority.key("signing")


def test_a_short_passphrase_is_refused_and_nothing_is_left(tmp_path, clock):
    with pytest.raises(InputError, match="at least 12"):
        Authority.create(tmp_path / "desk", "x", lambda: b"short", clock)
    assert not (tmp_path / "desk").exists()


def test_a_sites_common_name_is_its_name_and_the_serial_number(parties):
    certificate = read_certificate(parties / "one/cert/client/col_one.crt")
    name = certificate.subject.rfc4514_string().removeprefix("CN=")
    assert parse_common_name(name) == ("one", certificate.serial_number)
    assert len(name) <= 64


# -- what a request may not be -----------------------------------------------------------------


def test_another_sites_name_in_a_request_is_refused(desk, new_site):
    package = make_request(new_site, "three", asked="one")
    with pytest.raises(Refused, match=r"asks for 'one'.*Sign nothing"):
        desk.inspect(package)


def test_the_aggregators_name_in_a_sites_request_is_refused(desk, new_site):
    package = make_request(new_site, "three", asked=ADDRESS)
    with pytest.raises(Refused, match="Somebody tries to be somebody else"):
        desk.inspect(package)


def test_a_site_cannot_ask_for_the_aggregators_role(desk, new_site):
    request = make_request(new_site, "three", server=True)
    with pytest.raises(Refused, match="asks for the role aggregator, but is enrolled as site"):
        desk.inspect(request)


def test_a_name_that_is_not_enrolled_is_refused(desk, tmp_path):
    package = make_request(tmp_path / "four", "four")
    with pytest.raises(Refused, match=r"is enrolled as nothing. Enrolled: .*one \(site\)"):
        desk.inspect(package)


def test_a_renamed_request_is_refused(desk, new_site):
    package = make_request(new_site, "three")
    with zipfile.ZipFile(package) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(package, "w") as archive:
        archive.writestr("col_one.csr", content["col_three.csr"])
        archive.writestr("encryption.csr", content["encryption.csr"])
    with pytest.raises(Refused, match="asks for 'three', expected the name 'one'"):
        desk.inspect(package)


def test_a_package_with_two_requests_is_refused(desk, new_site):
    package = make_request(new_site, "three")
    with zipfile.ZipFile(package, "a") as archive:
        archive.writestr("col_one.csr", b"x")
    with pytest.raises(Refused, match=r"expected one col_NAME\.csr"):
        desk.inspect(package)


def test_a_package_without_a_sealing_key_is_refused(desk, new_site):
    package = make_request(new_site, "three", sealed=False)
    with pytest.raises(Refused, match=r"request-encryption-key"):
        desk.inspect(package)


def test_an_altered_request_is_refused(desk, new_site):
    package = make_request(new_site, "three")
    with zipfile.ZipFile(package) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    csr = x509.load_pem_x509_csr(content["col_three.csr"])
    der = bytearray(csr.public_bytes(ceremonies.serialization.Encoding.DER))
    der[-1] ^= 1
    altered = x509.load_der_x509_csr(bytes(der)).public_bytes(ceremonies.PEM)
    with zipfile.ZipFile(package, "w") as archive:
        archive.writestr("col_three.csr", altered)
        archive.writestr("encryption.csr", content["encryption.csr"])
    with pytest.raises(Refused, match="its own signature is wrong"):
        desk.inspect(package)


def test_other_words_on_the_telephone_sign_nothing(desk, new_site):
    package = make_request(new_site, "three")
    before = issued(desk)
    with pytest.raises(Refused, match="not the words of this request"):
        desk.issue(package, fingerprint.words("00" * 32))
    assert issued(desk) == before


def test_an_exchanged_sealing_key_changes_the_words(desk, new_site, tmp_path):
    package = make_request(new_site, "three")
    heard = words_of(desk, package)  # the site's, before somebody on the way adds his own key
    other = make_request(tmp_path / "mallory", "three")
    with zipfile.ZipFile(package) as archive:
        own = archive.read("col_three.csr")
    with zipfile.ZipFile(other) as archive:
        foreign = archive.read("encryption.csr")
    with zipfile.ZipFile(package, "w") as archive:
        archive.writestr("col_three.csr", own)
        archive.writestr("encryption.csr", foreign)
    with pytest.raises(Refused, match="not the words"):
        desk.issue(package, heard)


def test_a_second_certificate_for_a_party_that_has_one_is_refused(desk, tmp_path):
    package = make_request(tmp_path / "again", "one")
    with pytest.raises(Refused, match="has a certificate until"):
        desk.issue(package, words_of(desk, package))


@pytest.mark.parametrize("name", ["One", "a.b", "1one", "", "x" * 30, "one_two"])
def test_names_outside_the_rule_are_not_enrolled(desk, name):
    with pytest.raises(InputError, match="no name for a site: it "):
        desk.enrol(name, SITE)


def test_one_name_has_one_role_and_there_is_one_aggregator(desk):
    with pytest.raises(InputError, match="one name has one role"):
        desk.enrol("one", AGGREGATOR)
    with pytest.raises(InputError, match="a federation has one"):
        desk.enrol("agg2.example.org", AGGREGATOR)


# -- over time ---------------------------------------------------------------------------------


def states(desk) -> dict[tuple[str, str], list[str]]:
    found: dict = {}
    for entry, _, state in desk.status():
        found.setdefault((entry.name, entry.role), []).append(state)
    return found


def test_nothing_is_renewed_before_its_time(desk, clock):
    clock.pass_days(59)
    assert desk.renew("one") == []
    assert states(desk)["one", "site"] == ["good"]


def test_a_renewed_site_keeps_its_keys_and_gets_a_new_common_name(desk, clock, parties):
    old = read_certificate(parties / "one/cert/client/col_one.crt")
    clock.pass_days(61)
    assert states(desk)["one", "site"] == ["renew"]
    speaking, encryption = desk.renew("one")
    assert speaking.public_key() == old.public_key()
    assert speaking.subject != old.subject
    assert encryption.extensions.get_extension_for_class(x509.KeyUsage).value.key_encipherment
    assert states(desk)["one", "site"] == ["replaced", "good"]
    assert states(desk)["two", "site"] == ["renew"]  # nobody else's was touched
    assert desk.renew("one") == []


def test_a_revoked_site_gets_a_new_certificate_for_a_new_key(desk, tmp_path):
    assert desk.revoke("one", "keyCompromise") == 2
    with pytest.raises(Refused, match="no certificate that is good"):
        desk.delivery.members()
    package = make_request(tmp_path / "again", "one")
    desk.issue(package, words_of(desk, package))
    assert states(desk)["one", "site"] == ["revoked (keyCompromise)", "good"]
    assert desk.delivery.members().site("one").certificate.serial_number != 0


def test_the_revocation_list_is_one_that_openssl_reads_and_enforces(desk, parties, tmp_path):
    one, two = (parties / f"{s}/cert/client/col_{s}.crt" for s in SITES)
    desk.revoke("one", "keyCompromise")
    crl = tmp_path / "revoked.crl"
    crl.write_bytes(desk.delivery.revocation_list())
    with_list = ("-crl_check", "-CRLfile", str(crl))
    assert "certificate revoked" in openssl_verify(parties, one, "sslclient", *with_list).stderr
    assert openssl_verify(parties, two, "sslclient", *with_list).returncode == 0


def test_a_revocation_that_revokes_nothing_says_so(desk):
    desk.revoke("one", "superseded")
    with pytest.raises(Refused, match="nothing to revoke"):
        desk.revoke("one", "superseded")
    with pytest.raises(InputError, match="reason must be one of"):
        desk.revoke("two", "because")


def test_expired_certificates_are_shown_as_such(desk, clock):
    clock.pass_days(91)
    assert states(desk)["one", "encryption"] == ["expired"]


# -- what goes out -----------------------------------------------------------------------------


def test_the_member_list_stays_the_same_until_something_changes(desk, clock):
    first = desk.delivery.signed_members()
    assert desk.delivery.signed_members() == first
    clock.pass_days(61)
    desk.renew("two")
    second = desk.delivery.signed_members()
    assert second != first
    run = json.loads((desk.authority.folder / "register.json").read_text())["run"]
    assert len(run) == 32


def test_another_run_of_the_same_members_has_another_number(desk, tmp_path):
    before = desk.delivery.members().run
    desk.delivery.write_packages(tmp_path / "out", new_run=True)
    assert desk.delivery.members().run != before


def test_a_dismissed_site_is_in_the_list_no_more(desk):
    desk.dismiss("two")
    assert desk.delivery.members().sites == ["one"]


def test_packages_hold_no_key(desk, tmp_path):
    for package in desk.delivery.write_packages(tmp_path / "out"):
        with zipfile.ZipFile(package) as archive:
            for name in archive.namelist():
                assert b"PRIVATE" not in archive.read(name)


def test_the_book_survives_a_crash_while_it_is_written(desk, monkeypatch):
    before = desk.register.path.read_text()

    def crash(*_):
        raise OSError("power cut")

    monkeypatch.setattr("certs.register.write_atomically", crash)
    with pytest.raises(OSError, match="power cut"):
        desk.enrol("three", SITE)
    assert desk.register.path.read_text() == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"key_bits": 2048}, "3072 or more"),
        ({"hash": "sha1"}, "hash must be one of"),
        ({"renewal_days": 90}, "fewer than days.leaf"),
        ({"days": {"root": 10, "signing": 20, "leaf": 5}}, "must grow"),
    ],
)
def test_a_policy_out_of_range_is_refused(desk, change, message):
    settings = vars(desk.authority.policy) | change
    with pytest.raises(InputError, match=message):
        Policy(**settings)


def test_a_second_authority_does_not_overwrite_the_first(parties, clock, tmp_path):
    shutil.copytree(parties / "desk", tmp_path / "desk")
    with pytest.raises(InputError):
        Authority.create(tmp_path / "desk", "x", lambda: PASSPHRASE, clock)


def test_names_are_enrolled_all_or_none_and_every_refusal_is_told(desk):
    before = dict(desk.register.enrolled)
    with pytest.raises(InputError, match=r"(?s)'Neun' .* upper-case .*\n.*'1' .* a digit"):
        desk.enrol_all([("seven", SITE), ("Neun", SITE), ("1", SITE)])
    assert desk.register.enrolled == before


def test_the_desk_s_own_policy_may_ask_for_more(desk):
    object.__setattr__(desk.authority.policy, "site_name", "clinic-[0-9]+")
    with pytest.raises(InputError, match=r"under this desk's own policy.yaml, which asks for clin"):
        desk.enrol("seven", SITE)


def test_an_authority_that_is_refused_leaves_nothing_and_can_be_made_afterwards(tmp_path):
    def none_typed() -> bytes:
        raise InputError("no passphrase")

    for federation, words in (("x" * 60, "1 to 56"), ("glioma", "no passphrase")):
        with pytest.raises(InputError, match=words):
            Authority.create(tmp_path / "desk", federation, none_typed, utc_now)
        assert list(tmp_path.iterdir()) == []
