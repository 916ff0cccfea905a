"""A run's budget at one site: each round is booked in the ledger before it is trained.

It also tells the site in time that the next round cannot be paid for, so that the site leaves after
a complete round, and not in the middle of one.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from src import require
from src.differential_privacy import ledger
from src.differential_privacy.accountant import DpEvent
from src.differential_privacy.ledger import Ledger
from src.errors import BudgetSpent
from src.secure_aggregation.heads import LedgerHead

WHEN_SPENT = ("leave", "stop")


@dataclass(frozen=True)
class Budget:
    """What one run may spend of one data set.

    ledger: of the patients whose privacy is spent.
    a_round: the DP event of one round, counted for `unit`.
    unit: "patient" or "site".
    epsilon, delta: what all runs together may spend.
    run: the run's number, under which is booked.
    rounds: how many rounds the run trains.
    when_spent: "leave" (the site goes on listening, the others go on) or "stop" (all stop).
    what: what is released, in words.
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
        """The budget of a run, with this machine's ledger of these patients.

        gate: the site's; its member list names the run.
        settings: a_round, unit, epsilon, delta, rounds, when_spent, what.
        BudgetSpent: a new run could not pay for its first round. A run that has begun is resumed
            all the same.
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
        """Whether the budget pays for one more round."""
        return self._with_a_round() <= self.epsilon

    def book(self, round_number: int) -> float:
        """Book a round before its first noise is drawn; return epsilon after it.

        BudgetSpent: the round must not be trained; nothing was booked.
        """
        return self.ledger.book(
            self.a_round,
            unit=self.unit,
            run=self.run,
            round_number=round_number,
            delta=self.delta,
            budget=self.epsilon,
            what=self.what,
        )

    def head(self) -> LedgerHead:
        """The head of the ledger, which the site's announcements show."""
        return self.ledger.head()

    def after(self, round_number: int) -> str:
        """`when_spent` if the site cannot pay for the round after this one; else ""."""
        last = round_number + 1 >= self.rounds
        return "" if last or self.pays() else self.when_spent

    def _with_a_round(self) -> float:
        return self.ledger.spent(self.delta, unit=self.unit, more=[self.a_round])
