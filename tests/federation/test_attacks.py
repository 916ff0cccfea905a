"""Every attack on identity and approval: it works against stock OpenFL, and not against this kit.

Stock OpenFL is the proof that the attacks are real; `python -m scripts attack identity` prints
the table.
"""

import subprocess

import pytest

from scripts.attack.identity_attacks import ATTACKS, carry_out
from scripts.attack.targets import Kit, Stock

pytestmark = [pytest.mark.federation]
TAKEN_BY_STOCK = {
    "another site's name in a request",
    "the aggregator's name in a site's request",
    "a site's certificate serving as aggregator",
    "a second certificate of the same name",
    "one byte of src/ changed after the approval",
    "certificate revoked in the middle of a run",
}


@pytest.fixture(scope="module")
def kit(tmp_path_factory):
    kit = Kit(tmp_path_factory.mktemp("kit"))
    kit.enrol()
    return kit


def test_this_kit_refuses_every_attack_with_a_reason(kit):
    outcomes = carry_out(kit)
    assert set(outcomes) == set(ATTACKS)
    assert {name: said for name, (succeeded, said) in outcomes.items() if succeeded} == {}
    reasons = {name: said for name, (_, said) in outcomes.items()}
    assert "it asks for 's2', expected the name 'mallory'" in reasons[next(iter(ATTACKS))]
    assert "CERTIFICATE_VERI" in reasons["a site's certificate serving as aggregator"]
    assert "the certificate is s1's, but the call says s2" in reasons["header of another site"]
    assert "was revoked at" in reasons["certificate revoked in the middle of a run"]
    assert "is for bundle" in reasons["one byte of src/ changed after the approval"]
    assert "expected one plan" in reasons["plan changed after the approval"]


def test_stock_openfl_is_taken_by_them(tmp_path):
    stock = Stock(tmp_path)
    stock.enrol()
    outcomes = carry_out(stock)
    assert {name for name, (succeeded, _) in outcomes.items() if succeeded} == TAKEN_BY_STOCK


def s_client(port: int, *arguments) -> str:
    command = ["openssl", "s_client", "-connect", f"localhost:{port}", "-alpn", "h2"]
    shown = subprocess.run(
        [*command, *arguments], input=b"", capture_output=True, timeout=30, check=False
    )
    return (shown.stdout + shown.stderr).decode(errors="replace")  # HTTP/2 frames are among it


def test_openssl_finds_tls_1_2_and_newer_only_and_client_certificates_required(kit):
    stem = kit.site("s1") / "cert" / "client" / "col_s1"
    identity = ("-cert", f"{stem}.crt", "-key", f"{stem}.key")
    old = ("-cipher", "ALL:@SECLEVEL=0")  # so that it is the server that says no
    with kit.listening():
        for version in ("-tls1_2", "-tls1_3"):
            assert "Cipher is (NONE)" not in s_client(kit.port, version, *identity), version
        for version in ("-tls1", "-tls1_1"):
            assert "Cipher is (NONE)" in s_client(kit.port, version, *old, *identity), version
        anonymous = s_client(kit.port, "-tls1_2")
        named = s_client(kit.port, "-tls1_2", *identity)
    assert "Acceptable client certificate CA names" in anonymous  # it asks for one
    assert "unexpected eof" in anonymous  # and hangs up without one
    assert "unexpected eof" not in named
