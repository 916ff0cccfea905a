"""`ledger verify` finds altered, forged and lost ledgers, and lets renewed certificates be."""

import json
import shutil

import pytest

from src import hash_chain
from src.differential_privacy.accountant import DpEvent
from src.differential_privacy.ledger import Ledger
from src.differential_privacy.signed_lines import KIND, signed_digest
from src.errors import Damaged
from src.trust import ledger_check
from src.trust.gate import SiteGate
from tests import ceremonies
from tests.ceremonies import Clock
from tests.ledgers import begun

PATIENTS = ["anna", "boris", "clara"]


def booked(ledgers, gate, rounds: int = 3, site: str = "one", identifiers=PATIENTS) -> Ledger:
    ledger = Ledger.open(begun(ledgers, gate), site, identifiers, gate)
    for number in range(rounds):
        ledger.book(
            DpEvent(noise_multiplier=20.0),
            unit="patient",
            run="7",
            round_number=number,
            delta=1e-3,
            budget=8.0,
            what="training",
        )
    return ledger


def site_gate(folder, site: str, clock: Clock) -> SiteGate:
    gate = SiteGate(str(folder / site), clock)
    gate.identify(site)
    return gate


@pytest.fixture
def ledgers(tmp_path):
    return tmp_path / "ledger"


@pytest.fixture
def gate(parties, clock):
    return site_gate(parties, "one", clock)


def check(ledgers, parties, clock, site: str = "one") -> list[tuple[str, str]]:
    return list(ledger_check.check(ledgers, parties / site, clock()))


def rewrite(ledger: Ledger, change) -> None:
    """Write the lines anew after `change`, with numbers and hashes that fit again."""
    lines = hash_chain.read(ledger.path)
    change(lines)
    ledger.path.unlink()
    anew = hash_chain.HashChain(ledger.path)
    for line in lines:
        anew.append(**line)


def test_a_ledger_that_nobody_touched_is_good(ledgers, gate, parties, clock):
    ledger = booked(ledgers, gate)
    found = check(ledgers, parties, clock)
    assert [state for state, _ in found] == ["ok"] * 3
    assert found[0][1] == f"{ledger.path}: 4 lines, chain and signatures hold"
    assert found[1][1].endswith("3 bookings, all of them in the ledgers")


def test_where_nothing_was_ever_booked_nothing_is_missed(ledgers, gate, parties, clock):
    begun(ledgers, gate)
    assert [state for state, _ in check(ledgers, parties, clock)] == ["ok"] * 2
    gate.audit.path.unlink()
    assert "no such log" in check(ledgers, parties, clock)[0][1]


def test_an_altered_line_is_found(ledgers, gate, parties, clock):
    ledger = booked(ledgers, gate)
    text = ledger.path.read_text()
    ledger.path.write_text(text.replace('"round": 1', '"round": 9'))
    with pytest.raises(Damaged, match="line 3 does not follow"):
        check(ledgers, parties, clock)


def test_less_noise_in_the_last_line_is_found_by_its_signature(ledgers, gate, parties, clock):
    ledger = booked(ledgers, gate)
    rewrite(ledger, lambda lines: lines[-1].update(noise_multiplier=99.0))
    with pytest.raises(Damaged, match="line 3: the signature is under another line"):
        check(ledgers, parties, clock)


def test_a_line_dropped_and_the_chain_made_to_fit_again_is_found(ledgers, gate, parties, clock):
    ledger = booked(ledgers, gate)
    rewrite(ledger, lambda lines: lines.pop(1))
    with pytest.raises(Damaged, match="line 1: the signature is under another line"):
        check(ledgers, parties, clock)


def test_a_signature_for_another_purpose_is_worth_nothing(ledgers, gate, parties, clock):
    ledger = booked(ledgers, gate)

    def resign(lines) -> None:
        signed = gate.sign("approval", {"line": signed_digest(lines[-1])})
        lines[-1]["envelope"] = json.loads(signed)

    rewrite(ledger, resign)
    with pytest.raises(Damaged, match="expected a signed privacy-ledger/v1"):
        check(ledgers, parties, clock)


def test_a_line_without_a_signature_is_found(ledgers, gate, parties, clock):
    ledger = booked(ledgers, gate)
    rewrite(ledger, lambda lines: lines[-1].pop("envelope"))
    with pytest.raises(Damaged, match="envelope is missing"):
        check(ledgers, parties, clock)


def test_another_sites_signature_is_found(ledgers, gate, parties, clock):
    ledger = booked(ledgers, gate)
    two = site_gate(parties, "two", clock)

    def resign(lines) -> None:
        signed = two.sign(KIND, {"line": signed_digest(lines[-1])})
        lines[-1]["envelope"] = json.loads(signed)

    rewrite(ledger, resign)
    with pytest.raises(Damaged, match="another certificate than the ledger names"):
        check(ledgers, parties, clock)


# -- lost --------------------------------------------------------------------------------------


@pytest.mark.parametrize("lose", ["folder", "file", "end"])
def test_a_lost_ledger_is_noticed_by_the_audit_log(ledgers, gate, parties, clock, lose):
    ledger = booked(ledgers, gate)
    if lose == "folder":
        shutil.rmtree(ledgers)
    elif lose == "file":
        ledger.path.unlink()
    else:
        lines = ledger.path.read_bytes().splitlines(keepends=True)
        ledger.path.write_bytes(b"".join(lines[:-1]))
    with pytest.raises(Damaged, match=r"booked in one-\w+\.jsonl, but no ledger .* holds it"):
        check(ledgers, parties, clock)


def test_a_booking_that_the_crash_kept_from_the_audit_log_is_no_fault(
    ledgers, gate, parties, clock
):
    booked(ledgers, gate)
    lines = gate.audit.path.read_bytes().splitlines(keepends=True)
    gate.audit.path.write_bytes(b"".join(lines[:-1]))
    assert check(ledgers, parties, clock)[-2][1].endswith("2 bookings, all of them in the ledgers")


def test_a_torn_end_is_mended_and_no_fault(ledgers, gate, parties, clock):
    ledger = booked(ledgers, gate)
    with ledger.path.open("ab") as file:
        file.write(b'{"n": 4, "eve')
    assert [state for state, _ in check(ledgers, parties, clock)] == ["ok"] * 3


# -- certificates over time --------------------------------------------------------------------


def test_lines_of_an_older_certificate_hold_after_a_renewal(ledgers, gate, parties, clock):
    ledger = booked(ledgers, gate, rounds=1)
    clock.pass_days(1)
    desk = ceremonies.open_desk(parties / "desk", clock)
    desk.renew("one", early=True)
    ceremonies.hand_out(desk, parties, clock)
    renewed = site_gate(parties, "one", clock)
    assert renewed.certificate != gate.certificate
    booked(ledgers, renewed, rounds=2)
    events = [line["event"] for line in hash_chain.read(ledger.path)]
    assert events == ["opened", "booked", "certificate", "booked", "booked"]
    assert [state for state, _ in check(ledgers, parties, clock)] == ["ok"] * 3


def test_a_ledger_of_another_federation_counts_and_is_told_of(
    ledgers, gate, parties, clock, tmp_path
):
    other = tmp_path / "other"
    ceremonies.hold(other, clock)
    booked(ledgers, site_gate(other, "one", clock), rounds=2, identifiers=["anna"])
    spent = booked(ledgers, gate, rounds=0).spent(1e-3)
    assert spent > 0
    found = check(ledgers, parties, clock)
    (warning,) = [text for state, text in found if state == "warn"]
    assert "was not issued by this federation's authority" in warning
    assert "Written in another federation?" in warning


def test_a_site_that_signs_anothers_ledger_is_told_of(ledgers, parties, clock):
    booked(ledgers, site_gate(parties, "two", clock), site="one")
    found = check(ledgers, parties, clock, "two")
    assert any("two has signed one's ledger" in text for state, text in found if state == "warn")
