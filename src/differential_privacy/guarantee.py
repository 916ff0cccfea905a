"""The guarantees of a private plan: what each round spends, of whom, and how far a budget goes."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from src.differential_privacy import accountant
from src.differential_privacy.accountant import DpEvent
from src.plan import plan as plans
from src.plan.declared import declared
from src.plan.sources import Sources, is_here
from src.plan.view import Plan
from src.secure_aggregation.chosen import encryption_of

Bound = Callable[[Iterable[DpEvent]], float]


@dataclass(frozen=True, kw_only=True)
class Guarantee:
    """One (epsilon, delta) guarantee of a plan.

    what: what is released, in words.
    of: the part of a site's patients that it is about, "training" or "validation".
    unit: the privacy unit, "patient" or "site".
    epsilon: of the run.
    budget: the epsilon that all runs together may spend.
    a_round: the DP event of one round.
    rounds: how many rounds release something.
    trainable: which parameters do; None: all.
    part: the plan's part, built.
    """

    what: str
    of: str
    unit: str
    epsilon: float
    budget: float
    delta: float
    a_round: DpEvent
    rounds: int
    trainable: tuple[str, ...] | None
    part: Any

    def after(self, rounds: int) -> float:
        """Epsilon after so many rounds, by RDP."""
        return accountant.epsilon([self.a_round] * rounds, self.delta)


def guarantees(plan: Plan, sources: Sources | None = None) -> list[Guarantee]:
    """A plan's guarantees, in the order in which a site spends; empty if it is not private.

    sources: where the plan's classes are read; None: of the kit that runs. A mechanism that only
    came with a bundle is not built by the kit that looks at it, and so is left out.
    """
    spending = partial(_spending, sources=sources)
    rounds, found = plan.rounds, []
    if local := spending(plan.runner.get("local")):
        event = local.a_round(rounds)
        found.append(_guarantee("training", "training", "patient", local, event, rounds))
    if noise := spending(plan.noise):
        event = noise.a_round(encryption_of(plan.pipeline, sources), rounds)
        found.append(_guarantee("a noised update", "training", "site", noise, event, rounds))
    if reported := spending(plan.runner.get("reported_metrics")):
        event = reported.a_round(rounds)
        scores = ("noised validation scores", "validation", "patient")
        found.append(_guarantee(*scores, reported, event, rounds))
    return found


def _spending(part: Mapping[str, Any] | None, sources: Sources | None) -> Any:
    """The part, built, if it declares that it spends privacy and is of this kit; else None."""
    if part and declared(part, sources).spends and is_here(part["template"]):
        return plans.build(part)
    return None


def _guarantee(
    what: str, of: str, unit: str, part: Any, a_round: DpEvent, rounds: int
) -> Guarantee:
    return Guarantee(
        what=what,
        of=of,
        unit=unit,
        epsilon=part.epsilon,
        budget=part.allowed,
        delta=part.delta,
        a_round=a_round,
        rounds=part.releases(rounds),
        trainable=getattr(part, "trainable", None),
        part=part,
    )


def reach(bound: Bound, a_round: DpEvent, budget: float, most: int) -> int:
    """How many more rounds, up to `most`, a budget pays for.

    bound: epsilon with the given events on top of what is spent.
    """
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        if bound([a_round] * middle) <= budget:
            low = middle
        else:
            high = middle - 1
    return low
