"""Sites whose budget of privacy is spent: they leave in time, or the run ends, as the plan says."""

import pytest

from src.differential_privacy.accountant import DpEvent, epsilon
from src.differential_privacy.budget import Budget
from src.differential_privacy.ledger import VARIABLE
from src.errors import Refused, RunStopped
from src.secure_aggregation import framing
from tests.ledgers import begun
from tests.secure_aggregation.sealing import FOUR, Federation, models_of

A_ROUND = DpEvent(noise_multiplier=2.0)
DELTA = 1e-3


@pytest.fixture
def federation(tmp_path, monkeypatch):
    """Four sites with real ledgers; `limit` gives one a budget for so many rounds."""
    monkeypatch.setenv(VARIABLE, str(tmp_path / "ledgers"))
    federation = Federation(tmp_path, FOUR)
    begun(tmp_path / "ledgers", federation.sites["one"].gate)
    for name in FOUR:
        limit(federation, name, 100)
    federation.gather()
    yield federation
    federation.close()


def limit(federation, name: str, rounds: int, when_spent: str = "leave") -> Budget:
    site = federation.sites[name]
    budget = Budget.open(
        site.gate,
        name,
        [f"patient of {name}"],
        a_round=A_ROUND,
        unit="patient",
        epsilon=epsilon([A_ROUND] * rounds, DELTA),
        delta=DELTA,
        rounds=10,
        when_spent=when_spent,
    )
    site.budgets.append(budget)
    return budget


def play(federation, budget: Budget, name: str) -> str | None:
    """A round in which the site with the budget books before it trains, as a private site does."""
    site, number = federation.sites[name], federation.round
    models = models_of(federation)
    for other in federation.sites:
        federation.open(other)
        pays = federation.sites[other].can_pay
        if other == name and site.takes_part and pays:
            budget.book(number)
        message = (
            federation.answer(other, models[other])
            if pays
            else federation.sites[other].announce_only()
        )
        federation.aggregator.take(other, number, message)
    void = federation.aggregator.close(list(federation.sites))
    federation.aggregator.advance()
    return void


def roster(federation) -> list[str]:
    return federation.aggregator.trained(federation.sites)


def test_a_site_leaves_with_its_last_update_and_no_round_is_void(federation):
    budget = limit(federation, "four", 2)
    assert play(federation, budget, "four") is None
    assert roster(federation) == ["four", "one", "three", "two"]
    assert play(federation, budget, "four") is None  # its second and last
    assert roster(federation) == ["one", "three", "two"]
    for _ in range(2):
        assert play(federation, budget, "four") is None
        assert roster(federation) == ["one", "three", "two"]
    assert len(budget.ledger.path.read_text().splitlines()) == 3  # opened, and two bookings


def test_the_site_that_left_can_still_open_every_model(federation):
    budget = limit(federation, "four", 1)
    for _ in range(3):
        play(federation, budget, "four")
    assert (federation.open("four") == federation.open("one")).all()


def test_where_the_plan_says_stop_the_run_ends_with_the_name(federation):
    budget = limit(federation, "two", 1, when_spent="stop")
    with pytest.raises(RunStopped, match=r"After round 0, two has spent .*when_spent: stop"):
        play(federation, budget, "two")


def test_too_few_sites_left_end_the_run_and_the_message_says_who_has_spent(federation):
    first = limit(federation, "four", 1)
    play(federation, first, "four")
    second = limit(federation, "two", 1)
    with pytest.raises(RunStopped, match=r"Only 2 sites .*privacy is spent at (two|four)"):
        play(federation, second, "two")


def test_an_upload_without_a_report_must_say_why(federation):
    federation.open("one")
    header = framing.header(federation.sites["one"].announce_only())
    for left in ("", "because", None):
        message = framing.pack(header | {"announcement": "", "left": left})
        with pytest.raises(Refused, match="brought no announcement"):
            federation.aggregator.take("one", 0, message)
