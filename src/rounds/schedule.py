"""The schedule: which tasks a site does in which round.

Rounds 0 to R-1 validate the model that they start from and train it; round R only validates what
training has left. An evaluation is that last round alone.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from src.plan.view import Plan


@dataclass(frozen=True)
class Schedule:
    """each_round: tasks of a training round, in order. final: of the last. rounds: of training."""

    each_round: tuple[str, ...]
    final: tuple[str, ...]
    rounds: int

    @classmethod
    def of(cls, each_round: Iterable[str], final: Iterable[str], rounds: int) -> "Schedule":
        """The same from lists, as a plan has them."""
        return cls(tuple(each_round), tuple(final), rounds)

    @classmethod
    def of_plan(cls, plan: Plan) -> "Schedule":
        """The schedule that a plan's assigner will follow."""
        assigner = plan.settings("assigner")
        rounds = 0 if assigner.get("evaluation") else plan.rounds
        return cls.of(assigner["each_round"], assigner["final"], rounds)

    def tasks(self, round_number: int) -> list[str]:
        """The tasks of one round, the same for every site."""
        return list(self.each_round if round_number < self.rounds else self.final)

    def trains(self, round_number: int) -> bool:
        """Whether a round makes a new model."""
        return round_number < self.rounds

    def over(self, round_number: int) -> bool:
        """Whether all has been done before this round."""
        return round_number > self.rounds


def brings_update(task: str) -> bool:
    """Whether a task trains: OpenFL 1.9 knows it by its name, and so do the plan's rules."""
    return "train" in task
