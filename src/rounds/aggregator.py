"""The aggregator's side of a run, round by round, whatever engine carries the bytes.

An engine asks here who may speak (`check`, `require_introduction`), whether the work can begin
(`gathered`), what it may store of an answer (`admit`), which answers count and whether the round
came to nothing (`close`); and tells here what has come (`received`, `collect`), what goes out
(`sending`), and that a round has ended (`ended`).
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from src.errors import Damaged, Refused, TakenOver
from src.model_vector import TENSOR
from src.refusal import APPROVAL_NEEDED, TWO_PROCESSES, marked
from src.rounds import tensor_bytes
from src.rounds.instances import Instances, speaking
from src.rounds.presence import Presence
from src.rounds.round_log import RoundLog
from src.rounds.schedule import Schedule, brings_update

logger = logging.getLogger(__name__)

Named = Sequence[tuple[str, bytes]]  # tensors with their names, as they travel


class Gate(Protocol):
    """What is needed of an aggregator's gate, opened; `src.trust.gate.AggregatorGate` is one."""

    bundle: Any

    def caller(self, common_name: str) -> str: ...
    def check(self, common_name: str, site: str) -> None: ...
    def approve(self, site: str, content: bytes) -> None: ...
    def has_approved(self, site: str) -> bool: ...
    def revoked(self, site: str) -> bool: ...
    def revocations(self) -> bytes: ...
    def exchange_revocations(self, content: bytes, source: str) -> bytes | None: ...
    def refusing(self, site: str) -> Any: ...
    def sending(self, site: str, round_number: int, what: str, blobs: Any) -> str: ...
    def received(self, site: str, round_number: int, what: str, blobs: Any) -> None: ...
    def round_ended(self, round_number: int) -> None: ...
    def log(self, event: str, **details: object) -> None: ...


@dataclass(frozen=True)
class Answer:
    """What a site sends after a task. models, metrics: as (name, bytes)."""

    site: str
    round: int
    task: str
    models: Named
    metrics: Named


@dataclass(frozen=True)
class Fetch:
    """What a site asks for. tags: in the order of the alphabet."""

    site: str
    name: str
    round: int
    tags: tuple[str, ...]


@dataclass
class Collected:
    """What a site has told in the open round: its numbers of cases, and metrics by task."""

    cases: dict[str, int] = field(default_factory=dict)
    metrics: dict[str, dict[str, float]] = field(default_factory=dict)


class AggregatorRounds:
    """The aggregator of a run whose updates it may read. gate: opened."""

    def __init__(self, gate: Gate, presence: Presence, schedule: Schedule, log: RoundLog) -> None:
        self.gate = gate
        self.presence = presence
        self.schedule = schedule
        self._log = log
        self._collected: dict[str, Collected] = {}
        self.instances = Instances()
        self._alarmed: set[tuple[str, str | None]] = set()

    def begin(self, round_number: int) -> None:
        """The engine knows its round: the first, or the one that was interrupted."""

    def leave(self, failure: str | None) -> str | None:
        """The run has ended here. Gives its failure."""
        self._stop()
        try:
            self.gate.log("ended", how=failure or "the run is over")
        except OSError:  # a full disk shall not hide why the run has failed
            logger.exception("The end of the run could not be logged.")
        except Damaged as damage:  # nor a damaged log; but a run that is over has failed by it
            logger.error("The end of the run could not be logged: %s", damage)
            failure = failure or str(damage)
        return failure

    def _stop(self) -> None:
        """End what works beside this process."""

    # -- who may speak -----------------------------------------------------------------------

    def caller(self, common_name: str, instance: str | None) -> str:
        """The site that calls, asked before anything that it says is read. Refused: as `check`.

        instance: which process of the site it is, as that says of itself; None: it does not.
        """
        site = self.gate.caller(common_name)
        try:
            with self.gate.refusing(site):
                self.instances.check(site, instance)
        except TakenOver as taken:
            self._alarm(site, instance, taken)
            raise
        self.presence.heard(site)
        return site

    def _alarm(self, site: str, instance: str | None, taken: TakenOver) -> None:
        """Two processes of one site are at work: a line of the log, once for each that is heard."""
        if (site, instance) not in self._alarmed:
            self._alarmed.add((site, instance))
            self.gate.log(TWO_PROCESSES, site=site, instance=instance, reason=str(taken))

    def check(self, common_name: str, site: str) -> None:
        """Asked at every call; it is a sign of life too. Refused: with the gate's reason."""
        self.gate.check(common_name, site)
        self.presence.heard(site)

    def introduced(self, site: str, blobs: Sequence[bytes]) -> None:
        """Take what a site introduces itself with: its approval, and which process it is.

        (`doctor` shows the approval alone.) Refused: it has approved something else.
        """
        self.gate.approve(site, blobs[0] if blobs else b"")
        if blobs[1:]:
            with self.gate.refusing(site):
                self.instances.introduced(site, blobs[1].decode(errors="replace"))

    def require_introduction(self, site: str) -> None:
        """Refused, with the word that makes a site introduce itself, until it has done so.

        Each process of a site does, whatever an earlier one has shown.
        """
        if not (self.gate.has_approved(site) and self.instances.speaks(site, speaking())):
            raise Refused(marked(APPROVAL_NEEDED))

    def revocations(self) -> bytes:
        """The revocation list, for any member that asks."""
        return self.gate.revocations()

    def take_revocations(self, site: str, content: bytes) -> None:
        """Take the list that a site hands up, if it is newer. Refused: it is no list in force."""
        with self.gate.refusing(site):
            self.gate.exchange_revocations(content, source=site)

    # -- work --------------------------------------------------------------------------------

    def gathered(self) -> bool:
        """Whether the first round can begin."""
        return True

    def most_bytes(self, initial: int) -> int:
        """The largest model that a site sends. initial: the size of the initial model's file."""
        return initial

    def may_fetch(self, key: Fetch, open_round: int) -> bool:
        """Whether a site may ask for this: the model of the round, or what it has trained in it.

        (The round before, too: a cut-off may end a round while a site asks for its model.)
        """
        now = key.round in (open_round, open_round - 1) and key.name == TENSOR
        return now and key.tags in (("model",), tuple(sorted((key.site, "trained"))))

    def work_given(self) -> None:
        """A site has got its tasks: the round's seconds count from the first."""
        self._log.begin()

    def sending(self, site: str, open_round: int, asked: int, what: str, content: bytes) -> bytes:
        """What goes to a site that asks for a tensor; `content` is the engine's. Logged here."""
        self.gate.sending(site, asked, what, [content])
        self._log.sent(len(content))
        return content

    # -- what sites answer -------------------------------------------------------------------

    def received(self, site: str, round_number: int, task: str, blobs: Sequence[bytes]) -> None:
        """Something has come, whatever it is: it goes into the audit log, and is counted."""
        self.gate.received(site, round_number, task, blobs)
        self._log.received(sum(map(len, blobs)))

    def admit(self, answer: Answer, open_round: int, *, over: bool) -> Named | None:
        """What the engine stores as the answer's models; None: it came too late, and is dropped.

        over: the run has ended. Refused: it is nothing that was asked of this site.
        """
        with self.gate.refusing(answer.site):
            refuse_other_metrics(answer)
        return answer.models

    def collect(self, site: str, task: str, cases: int, metrics: Mapping[str, float]) -> None:
        """A site's answer to a task of the open round. A second one changes nothing."""
        found = self._collected.setdefault(site, Collected())
        if task in found.metrics:
            return
        found.metrics[task] = dict(metrics)
        kind = "train_cases" if brings_update(task) else "validation_cases"
        self._count_cases(found, kind, cases)

    def _count_cases(self, found: Collected, kind: str, cases: int) -> None:
        found.cases[kind] = cases

    # -- the end of a round ------------------------------------------------------------------

    def still_counting(self, sites: Iterable[str]) -> list[str]:
        """Of the sites that have done their tasks, those that are not revoked."""
        return [site for site in sites if not self.gate.revoked(site)]

    def told(self, sites: Iterable[str]) -> dict[str, dict[str, Any]]:
        """What these sites have told in the open round, as the round log has it."""
        return {
            site: self._collected[site].cases
            | {"metrics": {t: m for t, m in self._collected[site].metrics.items() if m}}
            for site in sites
            if site in self._collected
        }

    def close(self, round_number: int, done: list[str]) -> tuple[str | None, list[str]]:
        """(why the round came to nothing, whose answers count). done: who has done all tasks."""
        return None, done

    def ended(self, round_number: int, sites: dict[str, dict[str, Any]], void: str | None) -> None:
        """The round is over, and its outcome is on disk. sites: of `told`."""
        self._log.end(round_number, sites, void)
        self.gate.round_ended(round_number)
        self._collected = {}

    def final_model(self, round_number: int) -> bytes | None:
        """The final model as it travels, where it is not the engine's own."""
        return None


def refuse_other_metrics(answer: Answer) -> None:
    """Refused: a metric is no single number."""
    for name, content in answer.metrics:
        if not tensor_bytes.is_number(content):
            raise Refused(f"{name!r} is no single number.")
