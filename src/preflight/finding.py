"""One row of the doctor's table, and what a check is given."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from src.plan import plan as plans
from src.plan import rules
from src.trust import bundle, members

State = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Finding:
    """rule: what was looked at. text: what was found, and what to do about it."""

    rule: str
    state: State
    text: str


@dataclass(frozen=True)
class Examination:
    """A workspace to be examined. name: the site's; None at the aggregator."""

    workspace: Path
    name: str | None
    now: datetime

    @cached_property
    def plan(self) -> dict[str, Any]:
        """The plan, checked. PlanError: it must not run."""
        path = self.workspace / bundle.PLAN
        plan = plans.read(path)
        rules.check(plan, name=str(path))
        return plan

    @cached_property
    def members(self) -> members.Members:
        """The member list. Refused: it is not good."""
        return members.read(self.workspace, self.now)

    @cached_property
    def bundle(self) -> bundle.Bundle:
        """What lies here."""
        return bundle.read(self.workspace)

    @property
    def address(self) -> tuple[str, int]:
        """Where the aggregator is to be reached."""
        network = self.plan["network"]["settings"]
        return network["agg_addr"], int(network["agg_port"])


Check = Callable[[Examination], Iterator[tuple[State, str]]]
