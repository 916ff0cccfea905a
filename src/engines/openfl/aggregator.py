"""The aggregator (a door to OpenFL): OpenFL 1.9's, with the faults mended that bite a long run.

What is mended, and where it is wrong in openfl/component/aggregator/aggregator.py of 1.9: idle
sites are sent to sleep for 10 s (`_get_sleep_time`); a rule that raises leaves every site waiting
for ever (`process_task_results`); a tensor that is not there is looked for in a thread of the
server for a minute (`get_aggregated_tensor`); the process never ends when a site is gone
(`all_quit_jobs_sent`); what is wrong with its checkpoint stands in `checkpoint`, with its server in
`server`. Each is an override of a public or documented method, one replaced name apart (`server`),
and what to do is decided in `src.rounds`.
"""

import logging
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from openfl.protocols import base_pb2
from openfl.utilities import TensorKey

from src import require
from src.engines.openfl import messages, server
from src.engines.openfl.assigner import TrainThenValidate
from src.engines.openfl.checkpoint import Checkpointed
from src.engines.openfl.damage import own_damage_ends_the_run
from src.engines.openfl.parsed import check_parsed
from src.errors import Refused, RunFailed
from src.plan.parts import Declares
from src.plan.plan import build
from src.refusal import APPROVAL, REVOCATIONS, errors_end_the_process, marked
from src.rounds.admission import BESIDE_BYTES, Admission, Limits
from src.rounds.aggregator import AggregatorRounds, Fetch
from src.rounds.combine import check_enough
from src.rounds.ending import Ending
from src.rounds.held_calls import HeldCalls
from src.rounds.presence import Presence
from src.rounds.round_log import RoundLog
from src.rounds.schedule import Schedule

logger = logging.getLogger(__name__)

TICK_S = 0.5  # how often the main thread looks whether anything has ended
FAREWELL_S = 1.0  # for the last "go home" to reach its site before the server closes
FAILURE_GRACE_S = 15.0  # for the sites to hear that the run has failed


class Aggregator(Checkpointed):
    """rounds_to_train: training rounds; one more round validates the final model.

    gate: a part that says who may speak (`src.trust.gate.AggregatorGate`).
    final_state_path: the model after the last training round, written atomically.
    record_path: one JSON line a round (`RoundLog`).
    idle_wait_s: how long a call for work may be held open until there is some; at most
        `waiting_sites` calls are held (OpenFL's server has 8 threads), other sites ask each second.
    site_grace_s: a site that is silent for longer (its heartbeat included) is gone for good. The
        run then stops, unless the straggler policy lets it go on without that site.
    slowest_bytes_s, calls_per_minute: see `src.rounds.admission.Limits`.
    """

    DECLARES = Declares(encrypted=False)
    round_number: int  # set by OpenFL's constructor, which calls `_load_initial_tensors`

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
        slowest_bytes_s: float = 16_384.0,
        calls_per_minute: float = 120.0,
        persist_checkpoint: bool = True,
        persistent_db_path: str = "local_state/tensor.db",
        **openfl_settings,
    ) -> None:
        require.whole("rounds_to_train", rounds_to_train, at_least=1)
        self.schedule: Schedule = assigner.schedule
        self.held = HeldCalls(idle_wait_s, waiting_sites)
        self._gathered = False
        with errors_end_the_process():
            check_parsed(federation_uuid)
            server.refuse_taken_port()
            self.gate = build(gate)
            federation = self.gate.open(authorized_cols)
        needed = getattr(straggler_handling_policy(), "minimum_reporting", None)
        enough = needed or len(authorized_cols)
        with errors_end_the_process():
            for task in assigner.tasks.values():
                rule = getattr(task.get("aggregation_type"), "rule", None)
                check_enough(rule, enough, f"A round may end with {enough} sites: ")
        self.presence = Presence(self.gate, authorized_cols, enough, site_grace_s, time.monotonic)
        self.ending = Ending(self.presence, time.monotonic, self.held.release)
        super().__init__(
            rounds_to_train=rounds_to_train + 1,
            federation_uuid=federation,
            authorized_cols=authorized_cols,
            assigner=assigner,
            straggler_handling_policy=straggler_handling_policy,
            persist_checkpoint=persist_checkpoint,
            persistent_db_path=persistent_db_path,
            final_state_path=final_state_path,
            callbacks=[],  # OpenFL's default list is shared between instances
            **openfl_settings,
        )
        self.local_state = Path(persistent_db_path).parent
        with errors_end_the_process():
            self._begin(Path(record_path), openfl_settings)
        limits = Limits(
            most_bytes=self.rounds.most_bytes(Path(self.init_state_path).stat().st_size)
            + BESIDE_BYTES,
            slowest_bytes_s=slowest_bytes_s,
            calls_per_minute=calls_per_minute,
        )
        self.admission = Admission(limits, self.caller, time.monotonic)
        server.install()

    def _begin(self, record: Path, openfl_settings: Mapping[str, Any]) -> None:
        """The first round, or the one that was interrupted."""
        if self.schedule.rounds == 0:
            record = record.with_name(f"evaluation-{record.name}")
        resumed = self.claim(self.gate.bundle.digest)
        log = RoundLog(record, resumed=resumed)
        self.rounds = self._rounds(log, openfl_settings, resumed=resumed)
        self.go_on()
        self.rounds.begin(self.round_number)

    def _rounds(
        self, log: RoundLog, openfl_settings: Mapping[str, Any], *, resumed: bool
    ) -> AggregatorRounds:
        """What decides here."""
        return AggregatorRounds(self.gate, self.presence, self.schedule, log)

    # -- who is there ------------------------------------------------------------------------

    @own_damage_ends_the_run
    def caller(self, common_name: str, instance: str | None) -> str:
        """The site that calls, before anything of its call is read. Refused: the gate's reason."""
        return self.rounds.caller(common_name, instance)

    def unkept(self, site: str, error: OSError) -> None:
        """An upload cannot be written while it comes: the run ends with that reason."""
        with suppress(OSError), self.ending.keeping(site, self.round_number):
            raise error

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
            waited = self._wait_for_work(collaborator_name)
            return None, self.round_number, 0 if waited else 1, False
        answer = super().get_tasks(collaborator_name)
        if answer[0] is None and not answer[3] and self._wait_for_work(collaborator_name):
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

    def _wait_for_work(self, site: str) -> bool:
        """False at once if too many calls are held already; else True after the wait."""
        before = self.round_number, self._gathered
        return self.held.hold(
            site,
            lambda: (self.round_number, self._gathered) != before or self._time_to_quit(),
        )

    @own_damage_ends_the_run
    def get_aggregated_tensor(
        self, tensor_name, round_number, report, tags, require_lossless, requested_by
    ):
        """OpenFL's answer, logged and its bytes counted; or the revocation list.

        Refused: it is not what a round needs. (OpenFL 1.9 would look for it in a thread of the
        server for a minute.)
        """
        if tensor_name == REVOCATIONS:  # also before the introduction
            return base_pb2.NamedTensor(name=REVOCATIONS, data_bytes=self.rounds.revocations())
        self.rounds.require_introduction(requested_by)
        tags = tuple(sorted(tags))
        asked = Fetch(requested_by, tensor_name, round_number, tags)
        key = TensorKey(tensor_name, self.uuid, round_number, report, tags)
        allowed = not report and self.rounds.may_fetch(asked, self.round_number)
        if not allowed or self.tensor_db.get_tensor_from_cache(key) is None:
            raise Refused(marked(f"{tensor_name[:80]!r} of round {round_number} is not here."))
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
        """A site's approval, with which it introduces itself, or its newer revocation list; else
        OpenFL's work, logged.

        A disk that is full ends the run with its reason, and the round can be resumed.
        """
        blobs = [tensor.data_bytes for tensor in named_tensors]
        if task_name == REVOCATIONS:
            self.rounds.take_revocations(collaborator_name, b"".join(blobs[:1]))
            return
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
        self.forget_older_models(ended)
        if ended == self.schedule.rounds - 1:
            self.save_final_model(ended + 1, self.rounds.final_model(ended + 1))
        self.held.release()

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
        self.ended_for_good()
        return True

    def _may_end(self) -> bool:
        return self.ending.may_leave(
            self.round_number,
            self.quit_job_sent_to,
            over=super()._time_to_quit(),
            grace_s=FAILURE_GRACE_S,
        )
