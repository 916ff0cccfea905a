"""The settings that every mechanism has: what a run may spend, and what all runs together may."""

from dataclasses import dataclass

from src import require
from src.errors import SettingError


@dataclass(frozen=True, kw_only=True)
class Mechanism:
    """The (epsilon, delta) of a run, and the budget over all runs.

    epsilon, delta: what the whole run may spend of its privacy unit.
    budget: epsilon that all runs together may spend of it; None: this run's.
    """

    epsilon: float
    delta: float
    budget: float | None = None

    def __post_init__(self) -> None:
        require.positive("epsilon", self.epsilon)
        require.in_range("delta", self.delta, 1e-12, 0.01)
        if self.budget is not None and self.budget < self.epsilon:
            raise SettingError(
                f"budget {self.budget} is below epsilon {self.epsilon}: the run could not end. "
                "Lower epsilon, or omit budget."
            )

    @property
    def allowed(self) -> float:
        """The epsilon beyond which the ledger refuses: `budget`, or this run's own."""
        return self.epsilon if self.budget is None else self.budget

    def releases(self, rounds: int) -> int:
        """How many times a run of so many training rounds uses the mechanism."""
        return rounds
