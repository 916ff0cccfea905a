"""The overview adds up what the ledgers hold, and says what a plan could still do."""

import pytest

from scripts.local.workspace import complete_plan
from src.differential_privacy.accountant import DpEvent, epsilon
from src.differential_privacy.guarantee import guarantees
from src.differential_privacy.ledger import Ledger
from src.differential_privacy.ledger_file import ledger_files
from src.differential_privacy.spending import spending
from src.plan.view import Plan
from tests.ceremonies import ROOT

PATIENTS = ["id anna", "id boris", "id clara"]


def book(ledgers, gate, identifiers=PATIENTS, *, site="one", event: DpEvent, times=1, **changed):
    ledger = Ledger.open(ledgers, site, identifiers, gate)
    settings = {"unit": "patient", "run": "7", "delta": 1e-3, "what": "training"} | changed
    for number in range(times):
        ledger.book(event, round_number=number, budget=1e6, **settings)
    return ledger


@pytest.fixture
def guaranteed():
    return guarantees(Plan(complete_plan(ROOT / "plan" / "dp.yaml")))


def test_runs_are_listed_with_their_rounds_and_their_noise(ledgers, gate):
    first, second = DpEvent(noise_multiplier=5.0, steps=3), DpEvent(noise_multiplier=6.0)
    book(ledgers, gate, event=first, times=4)
    book(ledgers, gate, event=second, run="8", delta=1e-2)
    (found,) = spending(ledger_files(ledgers), [], "one")
    assert [(b.run, b.rounds, b.event) for b in found.booked] == [
        ("7", 4, first),
        ("8", 1, second),
    ]
    (spent,) = found.spent
    assert spent.delta == 1e-2  # of the last booking
    assert spent.rdp == epsilon([*[first] * 4, second], 1e-2)
    assert 0 < spent.prv < spent.rdp
    assert (spent.budget, spent.more) == (None, None)
    assert found.ledger_file.patients == 3


def test_against_a_plan_it_says_what_is_left_in_rounds(ledgers, gate, guaranteed):
    (guarantee,) = guaranteed
    book(ledgers, gate, event=guarantee.a_round, times=7)
    (found,) = spending(ledger_files(ledgers), guaranteed, "one")
    (spent,) = found.spent
    assert spent.delta == guarantee.delta
    assert spent.rdp == guarantee.after(7)
    assert (spent.budget, spent.more) == (8.0, 4)  # ten rounds and a spare one are calibrated for


def test_what_shares_a_patient_is_named_and_counted(ledgers, gate):
    one = DpEvent(noise_multiplier=5.0)
    book(ledgers, gate, event=one)
    grown = book(ledgers, gate, [*PATIENTS, "id dario"], event=one)
    book(ledgers, gate, ["id emil"], site="two", event=one)
    found = spending(ledger_files(ledgers), [], "one")
    assert len(found) == 2
    assert {data_set.spent[0].rdp for data_set in found} == {epsilon([one, one], 1e-3)}
    assert [name for data_set in found for name in data_set.shared_with if name == grown.path.name]


def test_a_renamed_sites_older_ledger_is_shown_under_both_names(ledgers, gate):
    book(ledgers, gate, site="older", event=DpEvent(noise_multiplier=5.0))
    Ledger.open(ledgers, "one", PATIENTS, gate)
    for name in ("one", "older"):
        assert len(spending(ledger_files(ledgers), [], name)) == 2
    assert spending(ledger_files(ledgers), [], "nobody") == []


def test_both_units_are_shown_where_both_were_booked(ledgers, gate):
    book(ledgers, gate, event=DpEvent(noise_multiplier=6.0), unit="site", what="update")
    book(ledgers, gate, event=DpEvent(noise_multiplier=5.0))
    (found,) = spending(ledger_files(ledgers), [], "one")
    assert [spent.unit for spent in found.spent] == ["site", "patient"]
    assert found.spent[1].rdp == epsilon(
        [DpEvent(noise_multiplier=3.0), DpEvent(noise_multiplier=5.0)], 1e-3
    )
