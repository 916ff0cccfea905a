"""The aggregator (a door to OpenFL): OpenFL 1.9's, with the faults mended that bite a long run.

What is mended, and where it is wrong in openfl/component/aggregator/aggregator.py of 1.9:
the final aggregate is never saved (`_end_of_round_check`); idle sites are sent to sleep for 10 s
(`_get_sleep_time`); a rule that raises leaves every site waiting for ever
(`process_task_results`); another run's database is resumed without a word (`_recover`); the
process never ends when a site is gone (`all_quit_jobs_sent`). Nothing is patched: each is an
override of a public or documented method.
"""

import logging
import sqlite3
import time
from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from threading import Condition
from typing import Any, TypeVar, cast

import numpy as np
from openfl.component import Aggregator as OpenFLAggregator
from openfl.component import Assigner
from openfl.protocols import utils

from src import require
from src.engines.openfl.codec import PlainTransformer
from src.engines.openfl.model_file import read_plain_model
from src.errors import Damaged, PlanError, Refused, RunFailed, WireError
from src.files import write_atomically
from src.model_vector import TENSOR
from src.plan.plan import build
from src.refusal import APPROVAL, APPROVAL_NEEDED, errors_end_the_process, marked
from src.rounds.round_log import RoundLog
from src.rounds.run_state import RunState
from src.secure_aggregation.encrypted_sum import token
from src.secure_aggregation.server import EncryptedRounds

logger = logging.getLogger(__name__)
Method = TypeVar("Method", bound=Callable[..., Any])

TICK_S = 0.5  # how often the main thread looks whether anything has ended
FAREWELL_S = 1.0  # for the last "go home" to reach its site before the server closes
FAILURE_GRACE_S = 15.0  # for the sites to hear that the run has failed
MOST_NUMBER_BYTES = 32  # of a metric on the wire
MOST_TENSORS = 64  # metrics and a model, in one message


def own_damage_ends_the_run(method: Method) -> Method:
    """A call during which this machine's own log or state proves damaged is the last of the run.

    The operator is told why; the caller gets no answer and asks again, as after any fault here.
    """

    @wraps(method)
    def guarded(self: "Aggregator", *arguments: Any, **named: Any) -> Any:
        try:
            return method(self, *arguments, **named)
        except Damaged as damage:
            self._fail(f"Round {self.round_number}: {damage}")
            raise

    return cast(Method, guarded)


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

    def __init__(
        self,
        *,
        rounds_to_train: int,
        gate: Mapping[str, Any],
        init_state_path: str,
        federation_uuid: str,
        authorized_cols: list[str],
        assigner: Assigner,
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
        require.positive("idle_wait_s", idle_wait_s)
        require.whole("waiting_sites", waiting_sites)
        require.in_range("waiting_sites", waiting_sites, 0, 6)  # two threads stay free for work
        require.positive("site_grace_s", site_grace_s)
        evaluating = assigner.is_task_group_evaluation()  # `--task_group evaluation`
        self.training_rounds = 0 if evaluating else rounds_to_train
        self.final_state_path = Path(final_state_path)
        self.idle_wait_s = idle_wait_s
        self.waiting_sites = waiting_sites
        self.site_grace_s = site_grace_s
        self.failure: str | None = None
        self._changed = Condition()  # a round began, the run ended or failed
        self._waiting = 0
        self._last_heard: dict[str, float] = {}
        self._started = time.monotonic()
        self._finished: float | None = None
        with errors_end_the_process():
            self.gate = build(gate)
            federation = self.gate.open(authorized_cols)
        self._state = RunState(Path(persistent_db_path))
        resumed = False
        if persist_checkpoint and not evaluating:
            resumed = self._state.claim(self.gate.bundle.digest)
        self.sealed: EncryptedRounds | None = None
        encryption = getattr(openfl_settings.get("compression_pipeline"), "encryption", None)
        if encryption:
            values = read_plain_model(Path(init_state_path)).size
            folder = Path(persistent_db_path).with_name(
                "sealed-evaluation" if evaluating else "sealed"
            )
            self.sealed = EncryptedRounds(encryption, self.gate, values, folder)
        self._resumed = resumed
        self._sealed_began = False
        record = Path(record_path)
        record = record.with_name(f"evaluation-{record.name}") if evaluating else record
        self._log = RoundLog(record, resumed=resumed)
        super().__init__(
            rounds_to_train=rounds_to_train + 1,
            init_state_path=init_state_path,
            federation_uuid=federation,
            authorized_cols=authorized_cols,
            assigner=assigner,
            persist_checkpoint=persist_checkpoint,
            persistent_db_path=persistent_db_path,
            callbacks=[],  # OpenFL's default list is shared between instances
            **openfl_settings,
        )
        if self.sealed:
            self._begin_sealed()
            if self._sites_needed() < self.sealed.min_sites:
                raise PlanError(
                    "straggler_handling_policy lets a round end with "
                    f"{self._sites_needed()} sites, encrypted rounds need {self.sealed.min_sites}: "
                    "raise minimum_reporting."
                )

    def _begin_sealed(self) -> None:
        """Once OpenFL knows its round: at its first use, which may be in the middle of a resume."""
        if self.sealed and not self._sealed_began:
            self._sealed_began = True
            self.sealed.begin(self.round_number or 0, resumed=self._resumed)

    # -- who is there ------------------------------------------------------------------------

    @own_damage_ends_the_run
    def valid_collaborator_cn_and_id(self, cert_common_name, collaborator_common_name) -> bool:
        """Asked at every call. Refused: the gate's reason, which the caller is told."""
        self.gate.check(cert_common_name, collaborator_common_name)
        self._last_heard[collaborator_common_name] = time.monotonic()
        return True

    def _require_introduction(self, site: str) -> None:
        """Its approval, and for the first encrypted round its report; `doctor` shows only one."""
        if not self.gate.has_approved(site) or (self.sealed and self.sealed.lacks(site)):
            raise Refused(marked(APPROVAL_NEEDED))

    def _silent_sites(self) -> dict[str, float]:
        """Sites beyond the grace time, with their seconds of silence; revoked ones at once."""
        now = time.monotonic()
        silence = {
            site: now - self._last_heard.get(site, self._started) for site in self.authorized_cols
        }
        return {
            site: s
            for site, s in silence.items()
            if s > self.site_grace_s or self.gate.revoked(site)
        }

    def _sites_needed(self) -> int:
        policy = self.straggler_handling_policy
        return getattr(policy, "minimum_reporting", None) or len(self.authorized_cols)

    # -- work --------------------------------------------------------------------------------

    @own_damage_ends_the_run
    def get_tasks(self, collaborator_name) -> Any:
        """OpenFL's answer; when there is no work yet, the call is held until there is."""
        self._require_introduction(collaborator_name)
        if self.sealed and not self._time_to_quit() and not self._gathered():
            return None, self.round_number, 0 if self._wait_for_work() else 1, False
        answer = super().get_tasks(collaborator_name)
        if answer[0] is None and not answer[3] and self._wait_for_work():
            answer = super().get_tasks(collaborator_name)
        tasks, round_number, _, quit_now = answer
        if tasks is not None:
            self._log.begin()
        wait_s = 1 if tasks is None and self._waiting >= self.waiting_sites else 0
        return tasks, round_number, wait_s, quit_now

    def _gathered(self) -> bool:
        """Whether every site that is there has reported for the first encrypted round."""
        assert self.sealed
        if self.sealed.gathered:
            return True
        present = set(self.authorized_cols) - set(self._silent_sites())
        if len(present) < self._sites_needed() or not self.sealed.gather(present):
            return False
        with self._changed:
            self._changed.notify_all()
        return True

    def _wait_for_work(self) -> bool:
        """False at once if too many calls are held already; else True after the wait."""
        with self._changed:
            if self._waiting >= self.waiting_sites:
                return False
            self._waiting += 1
            before = self.round_number, self._opened()
            self._changed.wait_for(
                lambda: (self.round_number, self._opened()) != before or self._time_to_quit(),
                self.idle_wait_s,
            )
            self._waiting -= 1
        return True

    def _opened(self) -> bool:
        return self.sealed is None or self.sealed.gathered

    @own_damage_ends_the_run
    def get_aggregated_tensor(
        self, tensor_name, round_number, report, tags, require_lossless, requested_by
    ):
        """OpenFL's answer, logged and its bytes counted."""
        self._require_introduction(requested_by)
        if self.sealed and round_number != self.round_number:
            raise Refused(marked(f"round {round_number} is not open."))
        named_tensor = super().get_aggregated_tensor(
            tensor_name, round_number, report, tags, require_lossless, requested_by
        )
        if self.sealed:
            named_tensor.data_bytes = self.sealed.model(round_number)
        self.gate.sending(requested_by, round_number, tensor_name, [named_tensor.data_bytes])
        self._log.sent(len(named_tensor.data_bytes))
        return named_tensor

    @own_damage_ends_the_run
    def send_local_task_results(
        self, collaborator_name, round_number, task_name, data_size, named_tensors
    ):
        """A site's approval, with which it introduces itself; else OpenFL's work, logged.

        A disk that is full ends the run with its reason, and the round can be resumed.
        """
        blobs = [tensor.data_bytes for tensor in named_tensors]
        if task_name == APPROVAL:
            self.gate.approve(collaborator_name, blobs[0] if blobs else b"")
            if self.sealed and blobs[1:]:
                with self.gate.refusing(collaborator_name):
                    self.sealed.introduced(collaborator_name, blobs[1])
            return
        self._require_introduction(collaborator_name)
        try:
            self.gate.received(collaborator_name, round_number, task_name, blobs)
            self._log.received(sum(map(len, blobs)))
            if self.sealed:
                if self._time_to_quit() or round_number < (self.round_number or 0):
                    logger.warning("%s: too late for round %d.", collaborator_name, round_number)
                    return
                with self.gate.refusing(collaborator_name):
                    self._seal_off(collaborator_name, round_number, task_name, named_tensors)
            super().send_local_task_results(
                collaborator_name, round_number, task_name, data_size, named_tensors
            )
        except (OSError, sqlite3.Error) as error:
            self._fail(
                f"Round {round_number}: what {collaborator_name} sent cannot be kept: {error}. "
                "Make room on this disk, then start the aggregator again: the round resumes."
            )
            raise

    def _seal_off(self, site: str, round_number: int, task_name: str, named_tensors: list) -> None:
        """Let only metrics, and one sealed model, pass on; the model as its token.

        Refused: anything else, before it is stored anywhere.
        """
        assert self.sealed
        if round_number != self.round_number:
            raise Refused(
                f"this is for round {round_number}, the aggregator is in round "
                f"{self.round_number}. If it was restored from a backup, start a new run: no site "
                "answers an older round."
            )
        if task_name not in self.assigner.get_tasks_for_collaborator(site, round_number):
            raise Refused(f"{site} was not asked for {task_name!r} in round {self.round_number}.")
        if len(named_tensors) > MOST_TENSORS:
            raise Refused(f"{len(named_tensors)} tensors in one message.")
        models = [tensor for tensor in named_tensors if "trained" in tensor.tags]
        if len(models) != ("train" in task_name):
            raise Refused(f"{len(models)} models in the answer to {task_name!r}.")
        for tensor in named_tensors:
            if tensor.round_number != round_number:
                raise Refused(f"a tensor of round {tensor.round_number} in round {round_number}.")
            if tensor in models:
                if tensor.name != TENSOR or set(tensor.tags) != {"trained", "compressed"}:
                    raise Refused(f"a model named {tensor.name!r}.")
            elif "metric" not in tensor.tags or not _is_number(tensor.data_bytes):
                raise Refused(f"{tensor.name!r} is no single number.")
        for tensor in models:
            self.sealed.take(site, round_number, tensor.data_bytes)
            tensor.data_bytes, _ = PlainTransformer().forward(token(tensor.data_bytes))

    # -- the end of a round ------------------------------------------------------------------

    def _end_of_round_with_stragglers_check(self):
        """OpenFL's, without what a site sent before it was revoked.

        Whatever a rule raises ends the run with its reason instead of hanging it.
        """
        try:
            still = [s for s in self.collaborators_done if not self.gate.revoked(s)]
            self.collaborators_done = still
            super()._end_of_round_with_stragglers_check()
        except Exception as error:
            logger.exception("Round %d cannot be ended.", self.round_number)
            self._fail(f"Round {self.round_number}: {error}")

    def _end_of_round_check(self):
        """OpenFL's; then the round is recorded, and the final model written."""
        ended = self.round_number or 0
        sites = self._reports()
        void = self._close_sealed(ended) if ended < self.training_rounds else None
        super()._end_of_round_check()
        if self.round_number == ended:
            return
        if self.sealed and ended < self.training_rounds:
            self.sealed.advance()
        self._log.end(ended, sites, void)
        self.gate.round_ended(ended)
        self._forget_older_models(ended)
        if ended == self.training_rounds - 1:
            self._save_final_model()
        with self._changed:
            self._changed.notify_all()

    def _close_sealed(self, ended: int) -> str | None:
        """Sum what was sealed; why the round came to nothing, None: it did not, or is plain."""
        if not self.sealed or self._end_of_round_check_done[ended]:
            return None
        self._begin_sealed()
        void = self.sealed.close(self.collaborators_done)
        if void:
            logger.warning("Round %d came to nothing: %s. The model stays.", ended, void)
            self.gate.log("void round", round=ended, reason=void)
        # a site that only reported has no metrics of a training
        self.collaborators_done = self.sealed.trained(self.collaborators_done)
        return void

    def _reports(self) -> dict[str, dict]:
        """What each site that counts has told in this round: case numbers and metrics by task.

        In an encrypted run case numbers are not told, and who only reported has no metrics.
        """
        sites: dict[str, dict] = {}
        for key, tensor_keys in self.collaborator_tasks_results.items():
            if key.owner not in self.collaborators_done:
                continue
            site = sites.setdefault(key.owner, {"metrics": {}})
            kind = "train_cases" if "train" in key.task_name else "validation_cases"
            if not self.sealed:
                site[kind] = self.collaborator_task_weight[key]
            metrics = {
                tensor_key.tensor_name: self._scalar(tensor_key)
                for tensor_key in tensor_keys
                if "metric" in tensor_key.tags
            }
            if metrics:
                site["metrics"][key.task_name] = metrics
        return sites

    def _scalar(self, tensor_key) -> float:
        tensor = self.tensor_db.get_tensor_from_cache(tensor_key)
        return float("nan") if tensor is None else float(tensor)

    def _forget_older_models(self, ended: int) -> None:
        """Keep one model in the checkpoint (OpenFL 1.9 adds one a round and deletes none)."""
        if self.persistent_db:
            with self.persistent_db.lock, self.persistent_db.conn as connection:
                connection.execute("DELETE FROM tensors WHERE round < ?", (ended,))

    def _save_final_model(self) -> None:
        tensors = self.tensor_db.get_tensors_by_round_and_tags(self.training_rounds, ("model",))
        if self.sealed:
            message = self.sealed.model(self.training_rounds)
            tensors = {key: np.frombuffer(message, np.uint8) for key in tensors}
        proto = utils.construct_model_proto(
            {key.tensor_name: tensor for key, tensor in tensors.items()},
            self.training_rounds,
            self.compression_pipeline,
        )
        write_atomically(self.final_state_path, proto.SerializeToString())
        logger.info("Final model: %s", self.final_state_path)

    # -- the end of the run ------------------------------------------------------------------

    def _fail(self, reason: str) -> None:
        self.failure = self.failure or reason
        self._finished = self._finished or time.monotonic()
        with self._changed:
            self._changed.notify_all()

    def _time_to_quit(self) -> bool:
        return self.failure is not None or super()._time_to_quit()

    def all_quit_jobs_sent(self) -> bool:
        """True once the process may end: every site was told, or is gone. RunFailed: with why.

        OpenFL's main thread asks this every 5 s; it is held here until the answer is yes.
        """
        while not self._may_end():
            with self._changed:
                self._changed.wait(TICK_S)
        time.sleep(FAREWELL_S)
        if self.sealed:
            self.sealed.stop()
        try:
            self.gate.log("ended", how=self.failure or "the run is over")
        except OSError:  # a full disk shall not hide why the run has failed
            logger.exception("The end of the run could not be logged.")
        except Damaged as damage:  # nor a damaged log; but a run that is over has failed by it
            logger.error("The end of the run could not be logged: %s", damage)
            self.failure = self.failure or str(damage)
        if self.failure:
            raise RunFailed(self.failure)
        if self.persistent_db:
            self._state.end()
        return True

    def _may_end(self) -> bool:
        try:
            silent = self._silent_sites()
        except Damaged as damage:  # read a newer revocation list, and could not log it
            self._fail(f"Round {self.round_number}: {damage}")
            silent = {}
        if self._finished is None and self._time_to_quit():  # resumed after its last round
            self._finished = time.monotonic()
        if self._finished is None:
            present = len(self.authorized_cols) - len(silent)
            if silent and present < self._sites_needed():
                self._fail(self._describe(silent))
            return False
        told = super().all_quit_jobs_sent() or not (
            set(self.authorized_cols) - set(self.quit_job_sent_to) - set(silent)
        )
        overdue = self.failure and time.monotonic() - self._finished > FAILURE_GRACE_S
        return bool(told or overdue)

    def _describe(self, silent: dict[str, float]) -> str:
        heard = [
            f"{site} ({self._heard(site, seconds)})" for site, seconds in sorted(silent.items())
        ]
        return (
            f"Round {self.round_number} waits for {', '.join(heard)}. Allowed: "
            f"{self.site_grace_s:.0f} s (aggregator.site_grace_s). Start the site again and then "
            "the aggregator, or set a straggler_handling_policy that goes on without it."
        )

    def _heard(self, site: str, seconds: float) -> str:
        if self.gate.revoked(site):
            return "its certificate is revoked"
        if site in self._last_heard:
            return f"last heard {seconds:.0f} s ago"
        return f"never connected; waited {seconds:.0f} s"


def _is_number(content: bytes) -> bool:
    try:
        return (
            len(content) <= MOST_NUMBER_BYTES and not PlainTransformer().backward(content, {}).ndim
        )
    except WireError:
        return False
