"""A run's budget at one site: each round is booked before it is trained, and the last in time."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from src import require
from src.differential_privacy import ledger
from src.differential_privacy.accountant import DpEvent
from src.differential_privacy.ledger import BudgetSpent, Ledger

WHEN_SPENT = ("leave", "stop")


@dataclass(frozen=True)
class Budget:
    """ledger: of the patients whose privacy is spent. a_round: what one round releases, counted for
    `unit`. epsilon: what may be spent, by all runs together. rounds: of training. when_spent: the
    site leaves (it goes on listening, the others go on), or all stop. what: is released, in words.
    """

    ledger: Ledger
    a_round: DpEvent
    unit: str
    epsilon: float
    delta: float
    run: str
    rounds: int
    when_spent: str
    what: str = "training"

    def __post_init__(self) -> None:
        require.one_of("unit", self.unit, ledger.UNITS)
        require.one_of("when_spent", self.when_spent, WHEN_SPENT)

    @classmethod
    def open(cls, gate: Any, site: str, identifiers: Collection[str], **settings: Any) -> "Budget":
        """With the ledger of these patients, in this machine's folder, for the gate's run.

        settings: a_round, unit, epsilon, delta, rounds, when_spent, what. BudgetSpent: a new run
        that could not pay for its first round. One that has begun is resumed all the same.
        """
        opened = Ledger.open(ledger.folder(), site, identifiers, gate)
        budget = cls(opened, run=gate.members.run, **settings)
        if not budget.pays() and not opened.booked(budget.run):
            raise BudgetSpent(
                f"{site} cannot take part: with one round of this plan its patients would have "
                f"spent epsilon {budget._with_a_round():.3f}, and the plan allows "
                f"{budget.epsilon:g} at delta {budget.delta:g}. See python -m src ledger show."
            )
        return budget

    def pays(self) -> bool:
        """Whether one more round can be paid."""
        return self._with_a_round() <= self.epsilon

    def book(self, round_number: int) -> float:
        """Before the round's first noise is drawn: epsilon after it. BudgetSpent: do not train."""
        return self.ledger.book(
            self.a_round,
            unit=self.unit,
            run=self.run,
            round_number=round_number,
            delta=self.delta,
            budget=self.epsilon,
            what=self.what,
        )

    def after(self, round_number: int) -> str:
        """Empty if the next round can be paid, or trains nothing; else `when_spent`."""
        last = round_number + 1 >= self.rounds
        return "" if last or self.pays() else self.when_spent

    def _with_a_round(self) -> float:
        return self.ledger.spent(self.delta, unit=self.unit, more=[self.a_round])


def refuse_too_small(budget: float | None, epsilon: float) -> None:
    """ValueError where a plan's budget over all runs does not even pay for its own run."""
    if budget is not None and budget < epsilon:
        raise ValueError(
            f"budget {budget} is below epsilon {epsilon}: the run could not end. Lower epsilon, "
            "or leave budget away."
        )
