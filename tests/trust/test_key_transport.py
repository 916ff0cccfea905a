"""Keys of encrypted sums: signed by the desk, encrypted for one site, bound to run and bundle."""

import json
import os
import subprocess

import pytest

from src.errors import Refused
from src.secure_aggregation.keys import SumKeys
from src.trust import audit, bundle, key_transport, members
from src.trust.certificate import read_certificate
from src.trust.gate import AggregatorGate, SiteGate
from src.trust.package import receive
from tests import ceremonies
from tests.ceremonies import ADDRESS, open_desk


def opened(parties, site, clock, digest=None) -> SumKeys:
    workspace = parties / site
    listed = members.read(workspace, clock())
    found = digest or bundle.read(workspace).digest
    return key_transport.open_keys(workspace, listed.site(site), listed, found, clock())


def envelope_of(parties, site):
    return parties / site / key_transport.path_of(site)


def resealed(parties, clock, *, signer="desk", to="one", **changes) -> None:
    """Site one's envelope with other claims, by the desk or somebody else."""
    desk = open_desk(parties / "desk", clock)
    listed = desk.delivery.members()
    keys = changes.pop("keys", None) or opened(parties, "one", clock)
    digest = bundle.read(parties / "one").digest
    content = json.loads(key_transport.statement(listed, digest, listed.site("one"), keys))
    certificate, key = desk.authority.desk, desk.authority.key("desk")
    if signer != "desk":
        gate = SiteGate(str(parties / signer), clock)
        gate.identify(signer)
        certificate, key = gate.certificate, gate.key
    sealed = key_transport.seal(
        json.dumps(content | changes).encode(), certificate, key, listed.site(to).encryption
    )
    envelope_of(parties, "one").write_bytes(sealed)


def test_every_site_opens_the_same_keys_and_nothing_unsealed_lies_anywhere(
    encrypted_parties, clock
):
    keys = [opened(encrypted_parties, site, clock) for site in ("one", "two", "three")]
    assert keys[0] == keys[1] == keys[2]
    for path in encrypted_parties.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert keys[0].mac not in content, path
            assert keys[0].he[64:96] not in content, path
    assert "sealed_and_erased" in open_desk(encrypted_parties / "desk", clock).register.keys


def test_openssl_opens_and_checks_the_envelope(encrypted_parties, clock, tmp_path):
    site = encrypted_parties / "one" / "cert"
    signed, content = tmp_path / "signed", tmp_path / "content"
    recipient = [
        "-recip",
        site / "encryption/col_one.crt",
        "-inkey",
        site / "encryption/col_one.key",
    ]
    decrypt = ["openssl", "cms", "-decrypt", "-binary", "-inform", "DER", *recipient]
    subprocess.run([*decrypt, "-in", site / "keys/col_one.cms", "-out", signed], check=True)
    verify = ["openssl", "cms", "-verify", "-binary", "-inform", "DER", "-in", signed]
    verify += ["-CAfile", site / "cert_chain.crt", "-attime", str(int(clock().timestamp()))]
    subprocess.run([*verify, "-out", content], check=True, capture_output=True)
    assert json.loads(content.read_text())["recipient"] == "one"
    shown = subprocess.run(
        ["openssl", "cms", "-cmsout", "-print", "-inform", "DER", "-in", site / "keys/col_one.cms"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "aes-256-cbc" in shown


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ({}, None),
        ({"signer": "two"}, "not signed by the desk"),
        ({"to": "two"}, "not encrypted for this site"),
        ({"run": "ff" * 16}, "another run"),
        ({"bundle": "ff" * 32}, "another bundle"),
        ({"recipient": "two"}, "another recipient"),
        ({"recipient_sha256": "ff" * 32}, "another recipient_sha256"),
        ({"members": {}}, "another members"),
        ({"parameters": {"scheme": "CKKS"}}, "other parameters"),
        ({"tag_key": "AAAA"}, "32 bytes"),
        ({"keys": SumKeys(b"x" * 100, os.urandom(32))}, "other keys than the member list"),
    ],
)
def test_an_envelope_is_for_one_site_run_and_bundle_and_by_the_desk(
    encrypted_parties, clock, how, reason
):
    resealed(encrypted_parties, clock, **how)
    if reason is None:
        opened(encrypted_parties, "one", clock)
    else:
        with pytest.raises(Refused, match=reason):
            opened(encrypted_parties, "one", clock)


def test_a_flipped_byte_anywhere_is_refused(encrypted_parties, clock):
    path = envelope_of(encrypted_parties, "one")
    good = path.read_bytes()
    for place in range(0, len(good), len(good) // 40):
        path.write_bytes(good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :])
        with pytest.raises(Refused):
            opened(encrypted_parties, "one", clock)


def test_an_older_runs_envelope_is_refused_and_every_run_has_new_keys(encrypted_parties, clock):
    old, first = (
        envelope_of(encrypted_parties, "one").read_bytes(),
        opened(encrypted_parties, "one", clock),
    )
    desk = open_desk(encrypted_parties / "desk", clock)
    ceremonies.hand_out(desk, encrypted_parties, clock, new_run=True)
    assert opened(encrypted_parties, "one", clock) != first
    envelope_of(encrypted_parties, "one").write_bytes(old)
    with pytest.raises(Refused, match="another run"):
        opened(encrypted_parties, "one", clock)


def test_the_same_delivery_again_is_the_same_and_a_changed_plan_is_a_new_run(
    encrypted_parties, clock
):
    desk = open_desk(encrypted_parties / "desk", clock)
    before = desk.register.run, envelope_of(encrypted_parties, "two").read_bytes()
    ceremonies.hand_out(desk, encrypted_parties, clock)
    after = desk.register.run, envelope_of(encrypted_parties, "two").read_bytes()
    assert after == before
    for party in ("aggregator", "one", "two", "three"):
        with (encrypted_parties / party / "src" / "model_vector.py").open("a") as file:
            file.write("#")
    ceremonies.hand_out(desk, encrypted_parties, clock)
    assert desk.register.run != before[0]
    opened(encrypted_parties, "two", clock)


def test_a_package_with_anothers_keys_is_refused_and_replaces_nothing(encrypted_parties, clock):
    import zipfile

    desk = open_desk(encrypted_parties / "desk", clock)
    desk.delivery.write_packages(
        encrypted_parties / "packages", workspace=encrypted_parties / "aggregator"
    )
    package = encrypted_parties / "packages" / "agg_to_col_one_signed_cert.zip"
    with zipfile.ZipFile(package) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    content["keys/col_one.cms"] = envelope_of(encrypted_parties, "two").read_bytes()
    with zipfile.ZipFile(package, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    kept = envelope_of(encrypted_parties, "one").read_bytes()
    with pytest.raises(Refused, match="not encrypted for this site"):
        receive(package, encrypted_parties / "one", clock())
    assert envelope_of(encrypted_parties, "one").read_bytes() == kept


def test_a_site_without_keys_and_an_aggregator_with_any_do_not_start(encrypted_parties, clock):
    gate = SiteGate(str(encrypted_parties / "one"), clock)
    gate.open("one")
    gate.sum_keys()
    log = encrypted_parties / "one" / audit.FILE
    opened = [line for line in audit.verify(log, []) if line["event"] == "key opened"]
    assert [line.get("what") for line in opened[-2:]] == [None, "sums"]
    envelope = envelope_of(encrypted_parties, "one")
    copy = encrypted_parties / "aggregator" / key_transport.path_of("one")
    copy.parent.mkdir()
    copy.write_bytes(envelope.read_bytes())
    with pytest.raises(Refused, match="lies at the aggregator"):
        AggregatorGate(str(encrypted_parties / "aggregator"), clock).open(["one", "two", "three"])
    envelope.unlink()
    with pytest.raises(Refused, match="is missing"):
        gate.sum_keys()


def test_a_run_without_encryption_has_no_keys(parties, clock):
    assert members.read(parties / "one", clock()).keys is None
    with pytest.raises(Refused, match="names no keys"):
        opened(parties, "one", clock)
    assert not list(parties.rglob("*.cms"))
    assert read_certificate(parties / f"aggregator/cert/server/agg_{ADDRESS}.crt")
