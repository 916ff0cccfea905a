"""The aggregator's side of an encrypted run: it takes what it cannot read, and passes on tokens.

The engine stores a token (`encrypted_sum.token`) for each update; the update itself goes to
`src.secure_aggregation.server`, and what sites get as a model comes from there.
"""

import logging
from collections.abc import Sequence
from typing import Any

from src.errors import MaskReused, PlanError, Refused
from src.model_vector import TENSOR
from src.refusal import APPROVAL_NEEDED, marked
from src.rounds import tensor_bytes
from src.rounds.aggregator import (
    AggregatorRounds,
    Answer,
    Collected,
    Fetch,
    Gate,
    Named,
    refuse_other_metrics,
)
from src.rounds.presence import Presence
from src.rounds.round_log import RoundLog
from src.rounds.schedule import Schedule, brings_update
from src.secure_aggregation.encrypted_sum import token
from src.secure_aggregation.server import EncryptedRounds

logger = logging.getLogger(__name__)

MOST_TENSORS = 64  # metrics and a model, in one message


class EncryptedAggregatorRounds(AggregatorRounds):
    """encrypted: the run's rounds. resumed: an interrupted run goes on.

    PlanError: the plan lets a round end with fewer sites than encryption needs.
    """

    def __init__(
        self,
        gate: Gate,
        presence: Presence,
        schedule: Schedule,
        log: RoundLog,
        encrypted: EncryptedRounds,
        *,
        resumed: bool,
    ) -> None:
        super().__init__(gate, presence, schedule, log)
        if presence.needed < encrypted.min_sites:
            raise PlanError(
                f"straggler_handling_policy lets a round end with {presence.needed} sites, "
                f"encrypted rounds need {encrypted.min_sites}: raise minimum_reporting."
            )
        self.encrypted = encrypted
        self._resumed = resumed
        self._begun = False

    def begin(self, round_number: int) -> None:
        """Take up the round from the disk, once. RunStopped: its state is gone."""
        if not self._begun:
            self._begun = True
            self.encrypted.begin(round_number, resumed=self._resumed)

    def _stop(self) -> None:
        """End the processes that add."""
        self.encrypted.stop()

    def introduced(self, site: str, blobs: Sequence[bytes]) -> None:
        """The approval, and the announcement for the first round where it is brought."""
        super().introduced(site, blobs)
        if blobs[2:]:
            with self.gate.refusing(site):
                self.encrypted.introduced(site, blobs[2])

    def require_introduction(self, site: str) -> None:
        """Both are needed; `doctor` shows an approval alone."""
        super().require_introduction(site)
        if self.encrypted.lacks(site):
            raise Refused(marked(APPROVAL_NEEDED))

    def gathered(self) -> bool:
        """Whether every site that is there has announced for the first round."""
        if self.encrypted.gathered:
            return True
        present = self.presence.present()
        return len(present) >= self.presence.needed and self.encrypted.gather(present)

    def most_bytes(self, initial: int) -> int:
        """Of an encrypted update, whatever the model's file has."""
        return self.encrypted.most_bytes

    def may_fetch(self, key: Fetch, open_round: int) -> bool:
        """Only the round's model: nothing else is here."""
        return key.tags == ("model",) and super().may_fetch(key, open_round)

    def sending(self, site: str, open_round: int, asked: int, what: str, content: bytes) -> bytes:
        """The round's model, encrypted. Refused: of another round than the open one."""
        if asked != open_round:
            raise Refused(marked(f"round {asked} is not open."))
        return super().sending(site, open_round, asked, what, self.encrypted.model(asked))

    def admit(self, answer: Answer, open_round: int, *, over: bool) -> Named | None:
        """Only metrics, and one encrypted model, pass on; the model as its token.

        MaskReused: it is a site's second update for a round, in time or late. That is logged.
        """
        late = over or answer.round < open_round
        try:
            with self.gate.refusing(answer.site):
                if not late:
                    self._check(answer, open_round)
                take = self.encrypted.take_late if late else self.encrypted.take
                for _, content in answer.models[:1]:
                    take(answer.site, answer.round, content)
        except MaskReused as reused:
            self.gate.log("mask reused", site=answer.site, round=answer.round, reason=f"{reused}")
            raise
        if late:
            logger.warning("%s: too late for round %d.", answer.site, answer.round)
            return None
        return [(name, tensor_bytes.encode(token(content))) for name, content in answer.models]

    def _check(self, answer: Answer, open_round: int) -> None:
        """Refused: it is not exactly what was asked of this site, before it is stored anywhere."""
        if answer.round != open_round:
            raise Refused(
                f"this is for round {answer.round}, the aggregator is in round {open_round}. If it "
                "was restored from a backup, start a new run: no site answers an older round."
            )
        if answer.task not in self.schedule.tasks(open_round):
            raise Refused(f"{answer.site} was not asked for {answer.task!r} in round {open_round}.")
        if len(answer.models) + len(answer.metrics) > MOST_TENSORS:
            raise Refused(f"more than {MOST_TENSORS} tensors in one message.")
        if len(answer.models) != brings_update(answer.task):
            raise Refused(f"{len(answer.models)} models in the answer to {answer.task!r}.")
        for name, _ in answer.models:
            if name != TENSOR:
                raise Refused(f"a model named {name!r}.")
        refuse_other_metrics(answer)

    def _count_cases(self, found: Collected, kind: str, cases: int) -> None:
        """Numbers of cases are not told: they are inside the encryption."""

    def close(self, round_number: int, done: list[str]) -> tuple[str | None, list[str]]:
        """Sum what has come. A site that only announced has no metrics of a training, and does
        not count, unless all of them did. RunStopped: see `EncryptedRounds.close`.
        """
        if not self.schedule.trains(round_number):
            return None, done
        self.begin(round_number)
        void = self.encrypted.close(done)
        if void:
            logger.warning("Round %d came to nothing: %s. The model stays.", round_number, void)
            self.gate.log("void round", round=round_number, reason=void)
        return void, self.encrypted.updated(done) or self.encrypted.trained(done)

    def ended(self, round_number: int, sites: dict[str, dict[str, Any]], void: str | None) -> None:
        """The next round is open from here on."""
        if self.schedule.trains(round_number):
            self.encrypted.advance()
        super().ended(round_number, sites, void)

    def final_model(self, round_number: int) -> bytes | None:
        """As sites get it: encrypted."""
        return self.encrypted.model(round_number)
