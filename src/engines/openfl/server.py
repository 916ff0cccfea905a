"""The aggregator's server (a door to OpenFL): OpenFL's answers behind the kit's own listener.

OpenFL 1.9's server (transport/grpc/aggregator_server.py, common.py) reads a caller's stream whole,
without limit and under the one lock of all uploads, before it asks who calls; it keeps a thread, of
eight, for each open call; and it takes messages of 1 GiB. A plan cannot choose another:
`Plan._get_server` names its class. So the name is replaced there, once, by `install`, when the
plan's aggregator is made; `fx aggregator start` builds that before its server.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Lock
from typing import IO, Any

import click
import grpc
from google.protobuf.message import DecodeError, Message
from openfl.federated.plan import plan as openfl_plan
from openfl.protocols import aggregator_pb2
from openfl.transport.grpc.aggregator_server import AggregatorGRPCServer
from openfl.transport.grpc.common import create_header

from src.engines.openfl import messages
from src.engines.openfl.listener import Caller, Listener, Method
from src.errors import KitError, PlanError, Refused
from src.network import ports
from src.plan.view import Plan
from src.refusal import errors_end_the_process, marked
from src.trust.bundle import PLAN

SERVICE = aggregator_pb2.DESCRIPTOR.services_by_name["Aggregator"].full_name


def install() -> None:
    """From now on OpenFL's plan serves an aggregator with `AggregatorServer`."""
    if not issubclass(openfl_plan.AggregatorGRPCServer, AggregatorGRPCServer):
        raise PlanError("OpenFL's plan names another server than 1.9's: pin openfl==1.9.")
    openfl_plan.AggregatorGRPCServer = AggregatorServer


def refuse_taken_port() -> None:
    """PortTaken: another program has the plan's port. Outside of an `fx` command nothing listens.

    (Asked before anything is begun or logged; a program that comes between is noticed by `serve`.)
    """
    if click.get_current_context(silent=True) is not None:
        ports.refuse_taken(Plan.read(PLAN).port)


class AggregatorServer(AggregatorGRPCServer):
    """OpenFL's server, which asks who calls before it reads, and reads no more than a message has.

    Settings are OpenFL's. PlanError: without mutual TLS nobody can be told from anybody.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        if not (self.use_tls and self.require_client_auth):
            raise PlanError("network: use_tls and require_client_auth must be true.")
        self._one_at_a_time = Lock()  # what OpenFL does with an upload must not be done twice

    def serve(self) -> None:
        """Answer until every site was told to go home, or is gone. RunFailed: why not so.

        SystemExit 77: the port is another program's.
        """
        methods = {
            "Ping": Method(self._pinged, quick=True),
            "GetTasks": Method(self._asked_for_tasks),
            "GetAggregatedTensor": Method(self._asked_for_tensor),
            "SendLocalTaskResults": Method(self._sent, stream=True),
        }
        listener = Listener(
            self.uri,
            self._credentials(),
            SERVICE,
            methods,
            self.aggregator.admission,
            self.aggregator.local_state,
            self.aggregator.unkept,
        )
        with ExitStack() as open_doors:
            with errors_end_the_process(), self._end_logged():
                open_doors.enter_context(listener)
            while not self.aggregator.all_quit_jobs_sent():
                pass

    @contextmanager
    def _end_logged(self) -> Iterator[None]:
        """Why nobody can be answered stands in the audit log, as any other end."""
        try:
            yield
        except KitError as error:
            self.aggregator.rounds.leave(str(error))
            raise

    def _credentials(self) -> grpc.ServerCredentials:
        paths = (self.private_key, self.certificate, self.root_certificate)
        key, certificate, root = (Path(str(path)).read_bytes() for path in paths)
        return grpc.ssl_server_credentials([(key, certificate)], root, require_client_auth=True)

    # -- what OpenFL answers, from bytes to bytes --------------------------------------------

    def _pinged(self, message: bytes, caller: Caller) -> bytes:
        request = parsed(aggregator_pb2.PingRequest, message)
        return self.Ping(request, caller).SerializeToString()

    def _asked_for_tasks(self, message: bytes, caller: Caller) -> bytes:
        request = parsed(aggregator_pb2.GetTasksRequest, message)
        return self.GetTasks(request, caller).SerializeToString()

    def _asked_for_tensor(self, message: bytes, caller: Caller) -> bytes:
        request = parsed(aggregator_pb2.GetAggregatedTensorRequest, message)
        return self.GetAggregatedTensor(request, caller).SerializeToString()

    def _sent(self, message: IO[bytes], caller: Caller) -> bytes:
        """As `SendLocalTaskResults`, which OpenFL would begin by reading from the network."""
        with self._one_at_a_time:
            content = messages.within_bounds(message.read())
            results = parsed(aggregator_pb2.TaskResults, content)
            self.validate_collaborator(results, caller)
            self.check_request(results)
            self.aggregator.send_local_task_results(
                caller.site,
                results.round_number,
                results.task_name,
                results.data_size,
                results.tensors,
            )
        header = create_header(
            self.aggregator.uuid, caller.site, self.aggregator.federation_uuid, ""
        )
        return aggregator_pb2.SendLocalTaskResultsResponse(header=header).SerializeToString()


def parsed(kind: type[Message], content: bytes) -> Any:
    """A message of that kind. Refused: the bytes are none."""
    try:
        return kind.FromString(content)
    except DecodeError:
        raise Refused(marked(f"this is no {kind.DESCRIPTOR.name}.")) from None
