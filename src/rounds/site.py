"""A site's side of a run, round by round, whatever engine carries the bytes.

An engine asks here what to do and tells here what it has done: `enter` before the first round,
`told` of each piece of work, `expect` before a model is fetched, `answer` for what the round wants,
`keep` before an update's first byte leaves, `to_the_end` around the whole run.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from src.errors import Damaged, Refused
from src.plan import plan as plans
from src.plan import rules
from src.plan.view import Plan
from src.refusal import TAKEN_OVER, TWO_PROCESSES, errors_end_the_process
from src.rounds.duties import Duties
from src.rounds.instances import new_instance
from src.rounds.schedule import Schedule
from src.secure_aggregation.site import EncryptingSite
from src.training.memory import FILE, History, Memory, every_round_counts

logger = logging.getLogger(__name__)

NOT_TOLD = 1  # in place of a number of cases
STATE = Path("local_state")  # in the workspace


class Gate(Protocol):
    """What is needed of a site's gate, opened; `src.trust.gate.SiteGate` is one."""

    name: str
    approval: bytes

    def check_aggregator(self) -> None: ...
    def exchange_revocations(self, content: bytes, source: str) -> bytes | None: ...
    def sending(self, site: str, round_number: int, what: str, blobs: Any) -> str: ...
    def received(self, site: str, round_number: int, what: str, blobs: Any) -> None: ...
    def round_ended(self, round_number: int) -> None: ...
    def log(self, event: str, **details: object) -> None: ...


@dataclass(frozen=True)
class Answer:
    """What a site does in a round. message: the bytes to send, where there is nothing to train."""

    what: Literal["train", "send again", "announce only"]
    message: bytes = b""


class SiteRounds:
    """A site in a run whose updates the aggregator may read."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        self.instance = new_instance()
        self._round: int | None = None

    def introduction(self) -> list[bytes]:
        """What a site shows before anything else: its approval of the bundle, and which process of
        the site it is.
        """
        return [self.gate.approval, self.instance.encode()]

    def refused(self, reason: str) -> None:
        """The aggregator says no: that goes into the audit log, by its kind."""
        event = TWO_PROCESSES if reason.startswith(TAKEN_OVER) else "refused"
        self.gate.log(event, site=self.gate.name, reason=reason)

    def revocations(self, handed: bytes) -> bytes | None:
        """Take the aggregator's revocation list if it is newer; give this site's, if that is newer.

        Asked for at the introduction and in each round. Refused: what it has handed on is no list
        of the authority's, or one that names the aggregator or this site.
        """
        newer = self.gate.exchange_revocations(handed, source="the aggregator")
        self.gate.check_aggregator()
        return newer

    def told(self, round_number: int, *, work: bool, over: bool) -> None:
        """The aggregator has named a round, with work in it or none; the one before it has ended.

        over: the run has ended.
        """
        if self._round is not None and (over or (work and round_number != self._round)):
            self.gate.round_ended(self._round)
            self._round = None
        if work:
            self._round = round_number

    def expect(self, round_number: int) -> None:
        """The next model is to be this round's."""

    def received(self, round_number: int, what: str, content: bytes) -> None:
        """Something has come down: it goes into the audit log."""
        self.gate.received(self.gate.name, round_number, what, [content])

    def answer(self, open_model: Callable[[], object]) -> Answer:
        """What this site does in the round. open_model: fetches and opens the round's model."""
        return Answer("train")

    def history(self, round_number: int) -> History:
        """What is known here of the rounds before the open one, for what an algorithm keeps."""
        return every_round_counts(round_number)

    def cases(self, number: int) -> int:
        """The number of cases that is told beside an update."""
        return number

    def keep(self, message: Callable[[], bytes]) -> bool:
        """Called before an update's first byte leaves. message: gives the whole of what is sent.

        Whether it was put on disk, and `answer` will find it.
        """
        return False

    @contextmanager
    def sending(self, round_number: int, what: str, blobs: Sequence[bytes]) -> Iterator[None]:
        """Around what sends the blobs: the audit log says before it what, and after it that."""
        digest = self.gate.sending(self.gate.name, round_number, what, blobs)
        yield
        about = {"site": self.gate.name, "round": round_number, "what": what}
        self.gate.log("sent", digest=digest, **about)

    @contextmanager
    def to_the_end(self) -> Iterator[None]:
        """Around the whole run: the audit log says how it ended; our errors end the process."""
        try:
            with errors_end_the_process():
                yield
                self.gate.log("ended", how="the run is over")
        except BaseException as error:
            self._log_end(error.__cause__ or error)
            raise
        finally:
            self.close()

    def _log_end(self, reason: BaseException) -> None:
        """Log why the run has ended here; a log that fails does not stand in place of that."""
        try:
            self.gate.log("ended", how=f"{type(reason).__name__}: {reason}")
        except (Damaged, OSError) as error:
            logger.error("The end could not be logged: %s", error)

    def close(self) -> None:
        """End what works beside this process."""


class EncryptedSiteRounds(SiteRounds):
    """A site in an encrypted run: it trains a round once, and only where the roster holds it."""

    def __init__(self, gate: Gate, encrypting: EncryptingSite) -> None:
        super().__init__(gate)
        self.encrypting = encrypting

    def introduction(self) -> list[bytes]:
        """As in the clear, and this site's announcement for round 0 until that has begun."""
        return [*super().introduction(), *self.encrypting.introduction()]

    def expect(self, round_number: int) -> None:
        """A model of any other round is refused."""
        self.encrypting.expect(round_number)

    def answer(self, open_model: Callable[[], object]) -> Answer:
        """Opens the model first, and with it the round: its roster decides."""
        open_model()
        round_number = self.encrypting.state.round
        kept = self.encrypting.kept()
        if kept is not None:
            logger.info("Round %d: sending again what was sent before.", round_number)
            return Answer("send again", kept)
        why = self.encrypting.absence
        if not self.encrypting.can_pay:
            why = "the budget of privacy is spent"
        if not why:
            return Answer("train")
        logger.info("Round %d: %s; this site sends no update.", round_number, why)
        return Answer("announce only", self.encrypting.announce_only())

    def history(self, round_number: int) -> History:
        """As the opened round's download has it, verified."""
        opened = self.encrypting.opened
        if opened is None or opened.round != round_number:
            raise Refused(f"Round {round_number} is not open here.")
        return History(opened.summed, opened.rosters)

    def cases(self, number: int) -> int:
        """No number of cases is told: it is inside the encryption."""
        return NOT_TOLD

    def keep(self, message: Callable[[], bytes]) -> bool:
        """The whole message is on disk: from here on the round is answered so, or not at all."""
        self.encrypting.keep(message())
        return True

    def close(self) -> None:
        """End the workers."""
        self.encrypting.close()


@dataclass(frozen=True)
class Entered:
    """A site that may take part. federation: the run's name, as the engine's messages bear it.

    duties: what its own plan has it do.
    """

    gate: Any
    federation: str
    rounds: SiteRounds
    duties: Duties


def enter(
    gate: Mapping[str, Any], site: str, plan_path: Path, runner: Any, pipeline: Any
) -> Entered:
    """Open the gate, and have every part of the plan prepare itself for this site.

    PlanError: a site does not run what the kit refuses, whoever built the workspace. Refused: the
    gate does not open, the run's keys are not there, or privacy is spent.
    """
    plan = Plan.read(plan_path)
    rules.check(plan.raw, name=str(plan_path))
    opened = plans.build(gate)
    federation = opened.open(site)
    joins = getattr(runner, "at_site", None)  # a runner may have nothing to prepare
    budgets = joins(opened, site, plan) if joins else []
    duties = Duties(Schedule.of_plan(plan), opened.workspace / STATE)
    encrypting = pipeline.at_site(opened, site, plan, runner)
    if encrypting is None:
        rounds = SiteRounds(opened)
    else:
        encrypting.budgets += budgets
        rounds = EncryptedSiteRounds(opened, encrypting)
    remembers = getattr(runner, "remember", None)
    if remembers:
        run = f"{opened.members.run} {opened.bundle.digest}"
        remembers(Memory(opened.workspace / STATE / FILE, run, rounds.history))
    return Entered(opened, federation, rounds, duties)
