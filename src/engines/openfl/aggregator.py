"""The aggregator (a door to OpenFL): OpenFL 1.9's, with the faults mended that bite a long run.

What is mended, and where it is wrong in openfl/component/aggregator/aggregator.py of 1.9:
the final aggregate is never saved (`_end_of_round_check`); idle sites are sent to sleep for 10 s
(`_get_sleep_time`); a rule that raises leaves every site waiting for ever
(`process_task_results`); another run's database is resumed without a word (`_recover`); the
process never ends when a site is gone (`all_quit_jobs_sent`). Nothing is patched: each is an
override of a public or documented method, and what to do is decided in `src.rounds`.
"""

import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from openfl.component import Aggregator as OpenFLAggregator

from src import require
from src.engines.openfl import checkpoint, messages
from src.engines.openfl.assigner import TrainThenValidate
from src.engines.openfl.damage import own_damage_ends_the_run
from src.errors import RunFailed
from src.plan.parts import Declares
from src.plan.plan import build
from src.refusal import APPROVAL, errors_end_the_process
from src.rounds.aggregator import AggregatorRounds
from src.rounds.ending import Ending
from src.rounds.held_calls import HeldCalls
from src.rounds.presence import Presence
from src.rounds.round_log import RoundLog
from src.rounds.run_state import RunState
from src.rounds.schedule import Schedule

logger = logging.getLogger(__name__)

TICK_S = 0.5  # how often the main thread looks whether anything has ended
FAREWELL_S = 1.0  # for the last "go home" to reach its site before the server closes
FAILURE_GRACE_S = 15.0  # for the sites to hear that the run has failed


class Aggregator(OpenFLAggregator):
    """rounds_to_train: training rounds; one more round validates the final model.

    gate: a part that says who may speak (`src.trust.gate.AggregatorGate`).
    final_state_path: the model after the last training round, written atomically.
    record_path: one JSON line a round (`RoundLog`).
    idle_wait_s: how long a call for work may be held open until there is some; at most
        `waiting_sites` calls are held (OpenFL's server has 8 threads), other sites ask each second.
    site_grace_s: a site that is silent for longer (its heartbeat included) is gone for good. The
        run then stops, unless the straggler policy lets it go on without that site.
    """

    DECLARES = Declares(encrypted=False)

    def __init__(
        self,
        *,
        rounds_to_train: int,
        gate: Mapping[str, Any],
        federation_uuid: str,
        authorized_cols: list[str],
        assigner: TrainThenValidate,
        straggler_handling_policy: Any,
        final_state_path: str = "save/final.pbuf",
        record_path: str = "logs/rounds.jsonl",
        idle_wait_s: float = 10.0,
        waiting_sites: int = 4,
        site_grace_s: float = 600.0,
        persist_checkpoint: bool = True,
        persistent_db_path: str = "local_state/tensor.db",
        **openfl_settings,
    ) -> None:
        require.whole("rounds_to_train", rounds_to_train, at_least=1)
        self.schedule: Schedule = assigner.schedule
        self.final_state_path = Path(final_state_path)
        evaluating = self.schedule.rounds == 0  # `--task_group evaluation`
        self.held = HeldCalls(idle_wait_s, waiting_sites)
        self._gathered = False
        with errors_end_the_process():
            self.gate = build(gate)
            federation = self.gate.open(authorized_cols)
        needed = getattr(straggler_handling_policy(), "minimum_reporting", None)
        enough = needed or len(authorized_cols)
        self.presence = Presence(self.gate, authorized_cols, enough, site_grace_s, time.monotonic)
        self.ending = Ending(self.presence, time.monotonic, self.held.release)
        self._state = RunState(Path(persistent_db_path))
        resumed = False
        if persist_checkpoint and not evaluating:
            resumed = self._state.claim(self.gate.bundle.digest)
        record = Path(record_path)
        record = record.with_name(f"evaluation-{record.name}") if evaluating else record
        self.local_state = Path(persistent_db_path).parent
        log = RoundLog(record, resumed=resumed)
        self.rounds = self._rounds(log, openfl_settings, resumed=resumed)
        super().__init__(
            rounds_to_train=rounds_to_train + 1,
            federation_uuid=federation,
            authorized_cols=authorized_cols,
            assigner=assigner,
            straggler_handling_policy=straggler_handling_policy,
            persist_checkpoint=persist_checkpoint,
            persistent_db_path=persistent_db_path,
            callbacks=[],  # OpenFL's default list is shared between instances
            **openfl_settings,
        )
        self.rounds.begin(self.round_number)

    def _rounds(
        self, log: RoundLog, openfl_settings: Mapping[str, Any], *, resumed: bool
    ) -> AggregatorRounds:
        """What decides here."""
        return AggregatorRounds(self.gate, self.presence, self.schedule, log)

    # -- who is there ------------------------------------------------------------------------

    @own_damage_ends_the_run
    def valid_collaborator_cn_and_id(self, cert_common_name, collaborator_common_name) -> bool:
        """Asked at every call. Refused: the gate's reason, which the caller is told."""
        self.rounds.check(cert_common_name, collaborator_common_name)
        return True

    # -- work --------------------------------------------------------------------------------

    @own_damage_ends_the_run
    def get_tasks(self, collaborator_name) -> Any:
        """OpenFL's answer; when there is no work yet, the call is held until there is."""
        self.rounds.require_introduction(collaborator_name)
        if not self._time_to_quit() and not self._has_gathered():
            return None, self.round_number, 0 if self._wait_for_work() else 1, False
        answer = super().get_tasks(collaborator_name)
        if answer[0] is None and not answer[3] and self._wait_for_work():
            answer = super().get_tasks(collaborator_name)
        tasks, round_number, _, quit_now = answer
        if tasks is not None:
            self.rounds.work_given()
        wait_s = 1 if tasks is None and self.held.full else 0
        return tasks, round_number, wait_s, quit_now

    def _has_gathered(self) -> bool:
        if not self._gathered and self.rounds.gathered():
            self._gathered = True
            self.held.release()
        return self._gathered

    def _wait_for_work(self) -> bool:
        """False at once if too many calls are held already; else True after the wait."""
        before = self.round_number, self._gathered
        return self.held.hold(
            lambda: (self.round_number, self._gathered) != before or self._time_to_quit()
        )

    @own_damage_ends_the_run
    def get_aggregated_tensor(
        self, tensor_name, round_number, report, tags, require_lossless, requested_by
    ):
        """OpenFL's answer, logged and its bytes counted."""
        self.rounds.require_introduction(requested_by)
        tensor = super().get_aggregated_tensor(
            tensor_name, round_number, report, tags, require_lossless, requested_by
        )
        tensor.data_bytes = self.rounds.sending(
            requested_by, self.round_number, round_number, tensor_name, tensor.data_bytes
        )
        return tensor

    @own_damage_ends_the_run
    def send_local_task_results(
        self, collaborator_name, round_number, task_name, data_size, named_tensors
    ):
        """A site's approval, with which it introduces itself; else OpenFL's work, logged.

        A disk that is full ends the run with its reason, and the round can be resumed.
        """
        blobs = [tensor.data_bytes for tensor in named_tensors]
        if task_name == APPROVAL:
            self.rounds.introduced(collaborator_name, blobs)
            return
        self.rounds.require_introduction(collaborator_name)
        with self.ending.keeping(collaborator_name, round_number):
            self.rounds.received(collaborator_name, round_number, task_name, blobs)
            with self.gate.refusing(collaborator_name):
                answer = messages.answer(collaborator_name, round_number, task_name, named_tensors)
            models = self.rounds.admit(answer, self.round_number, over=self._time_to_quit())
            if models is not None:
                messages.put_back(models, named_tensors)
                super().send_local_task_results(
                    collaborator_name, round_number, task_name, data_size, named_tensors
                )

    def process_task_results(
        self, collaborator_name, round_number, task_name, data_size, named_tensors
    ):
        """OpenFL's, also where an interrupted round is replayed from its database."""
        self.rounds.begin(self.round_number)
        if round_number == self.round_number and collaborator_name not in self.stragglers:
            metrics = messages.metrics(named_tensors)
            self.rounds.collect(collaborator_name, task_name, data_size, metrics)
        super().process_task_results(
            collaborator_name, round_number, task_name, data_size, named_tensors
        )

    # -- the end of a round ------------------------------------------------------------------

    def _end_of_round_with_stragglers_check(self):
        """OpenFL's, without what a site sent before it was revoked.

        Whatever a rule raises ends the run with its reason instead of hanging it.
        """
        try:
            self.collaborators_done = self.rounds.still_counting(self.collaborators_done)
            super()._end_of_round_with_stragglers_check()
        except Exception as error:
            logger.exception("Round %d cannot be ended.", self.round_number)
            self.ending.fail(f"Round {self.round_number}: {error}")

    def _end_of_round_check(self):
        """OpenFL's; then the round is recorded, and the final model written."""
        ended = self.round_number
        if self._end_of_round_check_done[ended]:
            return
        sites = self.rounds.told(self.collaborators_done)
        void, self.collaborators_done = self.rounds.close(ended, self.collaborators_done)
        super()._end_of_round_check()
        self.rounds.ended(ended, sites, void)
        checkpoint.forget_older_models(self.persistent_db, ended)
        if ended == self.schedule.rounds - 1:
            self._save_final_model()
        self.held.release()

    def _save_final_model(self) -> None:
        number = self.schedule.rounds
        tensors = self.tensor_db.get_tensors_by_round_and_tags(number, ("model",))
        checkpoint.write_model(
            self.final_state_path,
            {key.tensor_name: tensor for key, tensor in tensors.items()},
            self.rounds.final_model(number),
            number,
            self.compression_pipeline,
        )
        logger.info("Final model: %s", self.final_state_path)

    # -- the end of the run ------------------------------------------------------------------

    def _time_to_quit(self) -> bool:
        return self.ending.failure is not None or super()._time_to_quit()

    def all_quit_jobs_sent(self) -> bool:
        """True once the process may end: every site was told, or is gone. RunFailed: with why.

        OpenFL's main thread asks this every 5 s; it is held here until the answer is yes.
        """
        while not self._may_end():
            self.held.pause(TICK_S)
        time.sleep(FAREWELL_S)
        failure = self.rounds.leave(self.ending.failure)
        if failure:
            raise RunFailed(failure)
        if self.persistent_db:
            self._state.end()
        return True

    def _may_end(self) -> bool:
        return self.ending.may_leave(
            self.round_number,
            self.quit_job_sent_to,
            over=super()._time_to_quit(),
            grace_s=FAILURE_GRACE_S,
        )
