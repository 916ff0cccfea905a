"""The line to the aggregator (a door to OpenFL): bounded patience, and reasons.

OpenFL 1.9's client repeats every failed call for ever and tells nobody why. Here a call that the
aggregator refuses ends the site at once, with the reason; one that cannot get through is repeated
for `patience_s`.
"""

import logging
import time
from collections.abc import Callable
from typing import Any

import grpc
from openfl.protocols import aggregator_pb2, aggregator_pb2_grpc, base_pb2

from src.engines.openfl.instance import WithInstance
from src.errors import AggregatorUnreachable, Refused
from src.printable import printable
from src.refusal import APPROVAL, APPROVAL_NEEDED, REVOCATIONS, reason_in
from src.rounds.duties import Duties
from src.rounds.schedule import brings_update
from src.rounds.site import SiteRounds

logger = logging.getLogger(__name__)

LONGEST_PAUSE_S = 5.0
LONGEST_WAIT_S = 60  # that the aggregator may ask for
FAULTS_AT_AGGREGATOR = 5  # an exception there may pass (a restart), or be a fault in its code
STARTS_ANEW = (
    "it is at the beginning of this run, which has gone on here already. Its local_state/ was lost "
    "or is an old copy: the run has to be started anew."
)
NOT_THE_AGGREGATOR = (
    "whoever answers there does not hold the certificate that the member list names for the "
    "aggregator. Compare address and port with the desk; do not go on."
)
PASSING = (
    grpc.StatusCode.UNAVAILABLE,  # nobody there, or the connection broke
    grpc.StatusCode.CANCELLED,  # the channel was reopened under the call
    grpc.StatusCode.DEADLINE_EXCEEDED,
)


class AggregatorClient:
    """OpenFL's client, called through here. patience_s: how long to try before giving up.

    site: decides, and keeps the audit log. duties: what the site's own plan has it do. on_work:
    called before the tasks of each answer are done. look: tries the line where a call does not get
    through; AggregatorUnreachable, by it: what is in the way.
    """

    def __init__(
        self,
        client: Any,
        site: SiteRounds,
        duties: Duties,
        patience_s: float,
        on_work: Callable[[], None] = lambda: None,
        look: Callable[[], None] = lambda: None,
    ) -> None:
        self.client = client
        self.site = site
        self.duties = duties
        self.gate = site.gate
        self.patience_s = patience_s
        self.on_work = on_work
        self.look = look
        client.resend_data_on_reconnection = False  # else the client repeats by itself, for ever
        self._name_the_process()

    def reconnect(self) -> None:
        """Make the connection anew."""
        self.client.reconnect()
        self._name_the_process()

    def _name_the_process(self) -> None:
        """From now on each call says which process of the site it comes from."""
        named = grpc.intercept_channel(self.client.channel, WithInstance(self.site.instance))
        self.client.channel = named
        self.client.stub = aggregator_pb2_grpc.AggregatorStub(named)

    @property
    def stub(self) -> Any:
        """OpenFL's stub; a new one after each reconnection."""
        return self.client.stub

    def ping(self) -> None:
        """`fx collaborator ping`."""
        self._call(self.client.ping)

    def get_tasks(self) -> tuple:
        """(tasks, round, seconds to wait, whether the run is over).

        Refused: these are not the tasks that the site's own plan has in that round.
        """
        named, number, wait_s, over = self._call(self.client.get_tasks)
        try:
            tasks = self.duties.asked(number, [task.name for task in named], over=over)
        except Refused as refusal:
            self.gate.log("refused", site=self.gate.name, reason=str(refusal))
            raise
        self.site.told(number, work=bool(tasks), over=over)
        if tasks:
            self._call(self._compare_revocations)
            self.on_work()
        return tasks, number, min(max(wait_s, 0), LONGEST_WAIT_S), over

    def get_aggregated_tensor(
        self, tensor_name: str, round_number: int, report: bool, tags: tuple, require_lossless: bool
    ) -> Any:
        """A tensor of the aggregator's, as OpenFL's protobuf message."""
        arguments = (tensor_name, round_number, report, tags, require_lossless)
        self.site.expect(round_number)
        tensor = self._call(self.client.get_aggregated_tensor, *arguments)
        self.site.received(round_number, tensor_name, tensor.data_bytes)
        return tensor

    def send_local_task_results(
        self, round_number: int, task_name: str, data_size: int, named_tensors: list
    ) -> None:
        """Send what a task has made. Returns when the aggregator has taken it."""
        cases = self.site.cases(data_size)

        def whole() -> bytes:
            return _results(round_number, task_name, cases, named_tensors)

        if not (brings_update(task_name) and self.site.keep(whole)):
            self.duties.remember(round_number, task_name, whole())
        self._send(round_number, task_name, cases, named_tensors)

    def send_again(self, kept: bytes) -> None:
        """The same bytes once more."""
        results = aggregator_pb2.TaskResults.FromString(kept)
        tensors = list(results.tensors)
        self._send(results.round_number, results.task_name, results.data_size, tensors)

    def announce(self, round_number: int, task_name: str, named_tensors: list) -> None:
        """What need not be kept: an announcement without an update."""
        self._send(round_number, task_name, self.site.cases(0), named_tensors)

    def _send(self, round_number: int, task_name: str, data_size: int, named_tensors: list) -> None:
        blobs = [tensor.data_bytes for tensor in named_tensors]
        with self.site.sending(round_number, task_name, blobs):
            arguments = (round_number, task_name, data_size, named_tensors)
            self._call(self.client.send_local_task_results, *arguments)

    def _compare_revocations(self) -> None:
        """The newer of the two revocation lists goes to the party that has the older one."""
        handed = self.client.get_aggregated_tensor(REVOCATIONS, 0, False, (), True)
        newer = self.site.revocations(handed.data_bytes)
        if newer is not None:
            message = base_pb2.NamedTensor(name=REVOCATIONS, data_bytes=newer)
            self.client.send_local_task_results(0, REVOCATIONS, 0, [message])

    def _introduce(self) -> None:
        self._compare_revocations()
        blobs = self.site.introduction()
        messages = [base_pb2.NamedTensor(name=APPROVAL, data_bytes=blob) for blob in blobs]
        self.client.send_local_task_results(0, APPROVAL, 0, messages)

    def _call(self, function: Callable, *arguments: Any) -> Any:
        """Refused: the aggregator says no. AggregatorUnreachable: it cannot be reached."""
        began, faults, pause = time.monotonic(), 0, 0.5
        heard, told, introduced = "", "", False
        while True:
            self.gate.check_aggregator()
            try:
                return function(*arguments)
            except (grpc.RpcError, AssertionError) as error:
                reason = refusal(error)
                if reason == APPROVAL_NEEDED and not introduced:
                    introduced = True
                    function, arguments = self._introduced(function, arguments)
                    continue
                if reason == APPROVAL_NEEDED:
                    reason = STARTS_ANEW
                if reason == NOT_THE_AGGREGATOR:
                    reason = self._looked_into(reason)
                if reason:
                    self.site.refused(reason)
                    raise Refused(f"The aggregator at {self.client.uri}: {reason}") from None
                text = details(error)
                faults += not isinstance(error, grpc.RpcError) or error.code() not in PASSING
            waited = time.monotonic() - began
            if faults >= FAULTS_AT_AGGREGATOR or waited > self.patience_s:
                raise AggregatorUnreachable(
                    f"The aggregator at {self.client.uri} could not be reached for {waited:.0f} s "
                    f"(collaborator.patience_s: {self.patience_s:.0f}): {told or text} Ask its "
                    "operator, then start this site again: it goes on where the run is."
                )
            if text != heard:
                heard, before, told = text, told, self._looked_into(text)
                if told != before:
                    logger.warning("No answer from %s: %s Trying again.", self.client.uri, told)
            introduced = False  # it may be another process that answers next
            time.sleep(pause)
            pause = min(pause * 1.5, LONGEST_PAUSE_S)
            self.reconnect()

    def _looked_into(self, text: str) -> str:
        """What is in the way of a call, step by step; gRPC's own words where nothing is found."""
        try:
            self.look()
        except AggregatorUnreachable as found:
            return str(found)
        return text

    def _introduced(self, function: Callable, arguments: tuple) -> tuple[Callable, tuple]:
        """The same call, to be made after the approval was shown."""

        def both(*again: Any) -> Any:
            self._introduce()
            return function(*again)

        return both, arguments


def _results(round_number: int, task_name: str, cases: int, named_tensors: list) -> bytes:
    """The whole message of a task, as `send_again` reads it."""
    return aggregator_pb2.TaskResults(
        round_number=round_number, task_name=task_name, data_size=cases, tensors=named_tensors
    ).SerializeToString()


def refusal(error: Exception) -> str | None:
    """Why this call is final, whoever has ended it; None: it may be made again."""
    if "CERTIFICATE_VERIFY_FAILED" in details(error):
        return NOT_THE_AGGREGATOR
    return said(error)


def said(error: Exception) -> str | None:
    """Why the aggregator itself says no, whatever the way in which OpenFL says it; None: it does
    not.
    """
    text = details(error)
    reason = reason_in(text)
    if reason:
        return reason
    if "Federation UUID" in text:
        return "it runs another member list than this site's. Take the desk's newest package."
    if isinstance(error, grpc.RpcError) and error.code() == grpc.StatusCode.UNAUTHENTICATED:
        return text
    return None


def details(error: Exception) -> str:
    """What a failed call tells, in one line that can be shown whoever wrote it."""
    text = str(error.details() if isinstance(error, grpc.RpcError) else error)  # type: ignore
    line = text.strip().partition("\n")[0].removeprefix("Exception calling application: ")
    return printable(line)
