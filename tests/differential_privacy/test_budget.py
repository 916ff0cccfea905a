"""A run's budget: says in time when the next round cannot be paid."""

from dataclasses import replace

import pytest

from src.differential_privacy.accountant import DpEvent, epsilon
from src.differential_privacy.budget import Budget
from src.errors import BudgetSpent, SettingError

A_ROUND = DpEvent(noise_multiplier=4.0, sample_rate=0.5, steps=3)
DELTA = 1e-2


@pytest.fixture(autouse=True)
def folder(monkeypatch, ledgers):
    monkeypatch.setenv("GLIOMA_LEDGER", str(ledgers))


def opened(gate, pays_for: int, rounds: int = 10, **changed) -> Budget:
    settings = {"unit": "patient", "delta": DELTA, "when_spent": "leave"} | changed
    limit = epsilon([A_ROUND] * pays_for, DELTA)
    return Budget.open(
        gate, "one", ["a", "b"], a_round=A_ROUND, epsilon=limit, rounds=rounds, **settings
    )


def test_a_budget_for_three_rounds_says_after_the_third_that_there_is_no_fourth(gate):
    budget = opened(gate, 3, when_spent="stop")
    said = []
    for number in range(3):
        budget.book(number)
        said.append(budget.after(number))
    assert said == ["", "", "stop"]
    with pytest.raises(BudgetSpent, match="training of round 3"):
        budget.book(3)


def test_after_the_last_round_of_training_nothing_more_needs_to_be_paid(gate):
    budget = opened(gate, 2, rounds=2)
    budget.book(0)
    assert budget.after(0) == ""
    budget.book(1)
    assert budget.after(1) == ""


def test_a_round_begun_again_leaves_one_less(gate):
    budget = opened(gate, 3)
    for number in (0, 0, 1):
        budget.book(number)
    assert budget.after(1) == "leave"


def test_a_new_run_that_cannot_pay_for_a_round_does_not_start(gate, monkeypatch):
    opened(gate, 2).book(0)
    opened(gate, 2).book(1)
    monkeypatch.setattr(gate, "members", replace(gate.members, run="the next"))
    with pytest.raises(BudgetSpent, match=r"one cannot take part: .* ledger show"):
        opened(gate, 2)


def test_a_run_that_has_spent_all_of_it_is_resumed_after_a_restart(gate):
    budget = opened(gate, 1)
    budget.book(0)
    assert not opened(gate, 1).pays()
    assert opened(gate, 1).after(0) == "leave"


def test_units_and_ways_to_end_are_known_ones(gate):
    with pytest.raises(SettingError, match="when_spent must be one of leave, stop"):
        opened(gate, 1, when_spent="ignore")
    with pytest.raises(SettingError, match="unit must be one of patient, site"):
        opened(gate, 1, unit="crop")
