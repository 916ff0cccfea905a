"""An examination of a workspace, and a finding: one row of the doctor's table."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Literal

from src.differential_privacy.guarantee import guarantees
from src.plan import rules
from src.plan.sources import Sources
from src.plan.view import Plan
from src.secure_aggregation.chosen import encryption_of
from src.secure_aggregation.settings import Encryption
from src.trust import bundle, members

State = Literal["ok", "warn", "fail", "skip"]


@dataclass(frozen=True)
class Finding:
    """What one rule has found.

    rule: what was looked at.
    state: "ok", "warn", "fail", or "skip": not examined, since another rule has found the cause.
    text: what was found, and what to do about it.
    """

    rule: str
    state: State
    text: str


@dataclass(frozen=True)
class Examination:
    """A workspace that is being examined; what it holds is read when first asked for.

    name: the site's; None at the aggregator.
    now: the time at which the examination begins.
    """

    workspace: Path
    name: str | None
    now: datetime
    began: float = field(default_factory=time.monotonic, repr=False)

    @property
    def time(self) -> datetime:
        """The time now: data take their while."""
        return self.now + timedelta(seconds=time.monotonic() - self.began)

    @cached_property
    def plan(self) -> Plan:
        """The plan, checked. PlanError: it must not run."""
        path = self.workspace / bundle.PLAN
        plan = Plan.read(path)
        rules.check(plan.raw, name=str(path), sources=self.sources)
        return plan

    @cached_property
    def sources(self) -> Sources:
        """Where the classes of the plan are read: in the workspace, unrun."""
        return Sources.of(self.workspace)

    @cached_property
    def encryption(self) -> Encryption | None:
        """The encryption that the plan chooses."""
        return encryption_of(self.plan.pipeline, self.sources)

    @property
    def is_private(self) -> bool:
        """Whether the plan guarantees differential privacy."""
        return bool(guarantees(self.plan, self.sources))

    @cached_property
    def members(self) -> members.Members:
        """The member list. Refused: it is not good."""
        return members.read(self.workspace, self.now)

    @cached_property
    def bundle(self) -> bundle.Bundle:
        """The bundle that lies here."""
        return bundle.read(self.workspace)

    @property
    def address(self) -> tuple[str, int]:
        """The aggregator's host and port, as the plan has them."""
        return self.plan.address, self.plan.port


Check = Callable[[Examination], Iterator[tuple[State, str]]]
