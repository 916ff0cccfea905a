"""The line to the aggregator: patience with an end, and reasons, over a real gRPC server."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from openfl.protocols import aggregator_pb2, aggregator_pb2_grpc, base_pb2
from openfl.transport.grpc import AggregatorGRPCClient

from scripts.local.processes import free_port
from src.engines.openfl import client as module
from src.engines.openfl.client import AggregatorClient
from src.errors import AggregatorUnreachable, Refused
from src.refusal import APPROVAL_NEEDED, REVOCATIONS, marked
from src.rounds.duties import Duties
from src.rounds.schedule import Schedule
from src.rounds.site import SiteRounds
from tests.open_gate import OpenSiteGate

DUTIES = Duties(Schedule.of(["validation", "train"], ["final_validation"], 2), Path())


class Server(aggregator_pb2_grpc.AggregatorServicer):
    """Answers pings; the first ones with what `answers` says."""

    def __init__(self) -> None:
        self.answers: list = []
        self.calls: list[str] = []

    def header(self, federation: str = "run_1"):
        return aggregator_pb2.MessageHeader(
            sender="aggregator", receiver="one", federation_uuid=federation
        )

    def Ping(self, request, context):  # noqa: N802
        self.calls.append("ping")
        answer = self.answers.pop(0) if self.answers else "run_1"
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, grpc.StatusCode):
            context.abort(answer, "so it is")
        return aggregator_pb2.PingResponse(header=self.header(answer))

    def GetAggregatedTensor(self, request, context):  # noqa: N802
        self.calls.append(request.tensor_name)
        tensor = base_pb2.NamedTensor(name=request.tensor_name, data_bytes=b"list")
        return aggregator_pb2.GetAggregatedTensorResponse(header=self.header(), tensor=tensor)

    def SendLocalTaskResults(self, request_iterator, context):  # noqa: N802
        self.calls.append("approval")
        list(request_iterator)
        return aggregator_pb2.SendLocalTaskResultsResponse(header=self.header())


def start(port: int, servicer: Server):
    server = grpc.server(ThreadPoolExecutor(2))
    aggregator_pb2_grpc.add_AggregatorServicer_to_server(servicer, server)
    server.add_insecure_port(f"localhost:{port}")
    server.start()
    return server


@pytest.fixture
def servicer():
    return Server()


@pytest.fixture
def port():
    return free_port()


@pytest.fixture
def line(port, servicer, monkeypatch):
    monkeypatch.setattr(module, "LONGEST_PAUSE_S", 0.1)
    server = start(port, servicer)
    client = AggregatorGRPCClient("localhost", port, "aggregator", "run_1", "one", use_tls=False)
    yield AggregatorClient(client, SiteRounds(OpenSiteGate()), DUTIES, patience_s=1.5)
    server.stop(0)


def test_a_call_that_works_is_made_once(line, servicer):
    line.ping()
    assert servicer.calls == ["ping"]


def test_a_refusal_ends_it_at_once_with_the_reason(line, servicer):
    servicer.answers = [Refused(marked("the certificate of one was revoked."))] * 9
    with pytest.raises(Refused, match=r"aggregator at localhost:\d+: the certificate of one was"):
        line.ping()
    assert servicer.calls == ["ping"]
    assert line.gate.events[-1][0] == "refused"


def test_a_site_that_is_asked_for_its_approval_shows_it_and_goes_on(line, servicer):
    servicer.answers = [Refused(marked(APPROVAL_NEEDED))]
    line.ping()
    assert servicer.calls == ["ping", REVOCATIONS, "approval", "ping"]


def test_an_aggregator_that_has_forgotten_the_run_is_not_asked_for_ever(line, servicer):
    servicer.answers = [Refused(marked(APPROVAL_NEEDED))] * 9
    with pytest.raises(Refused, match="has gone on here already"):
        line.ping()
    assert servicer.calls == ["ping", REVOCATIONS, "approval", "ping"]


def test_an_aggregator_of_another_member_list_is_refused(line, servicer):
    servicer.answers = ["run_2"]
    with pytest.raises(Refused, match="runs another member list"):
        line.ping()


def test_an_unauthenticated_call_is_not_repeated(line, servicer):
    servicer.answers = [grpc.StatusCode.UNAUTHENTICATED] * 9
    with pytest.raises(Refused, match="so it is"):
        line.ping()
    assert servicer.calls == ["ping"]


def test_a_fault_at_the_aggregator_may_pass(line, servicer):
    servicer.answers = [RuntimeError("a hiccup")] * 2
    line.patience_s = 30
    line.ping()
    assert servicer.calls == ["ping"] * 3


def test_a_fault_at_the_aggregator_that_stays_ends_it_with_its_text(line, servicer):
    servicer.answers = [RuntimeError("a bug there")] * 99
    line.patience_s = 60
    with pytest.raises(AggregatorUnreachable, match="a bug there"):
        line.ping()
    assert len(servicer.calls) == module.FAULTS_AT_AGGREGATOR


def test_nobody_there_ends_it_after_the_patience_with_what_to_do(port, monkeypatch):
    monkeypatch.setattr(module, "LONGEST_PAUSE_S", 0.1)
    client = AggregatorGRPCClient("localhost", port, "aggregator", "run_1", "one", use_tls=False)
    lonely = AggregatorClient(client, SiteRounds(OpenSiteGate()), DUTIES, patience_s=1.0)
    began = time.monotonic()
    with pytest.raises(
        AggregatorUnreachable, match=r"could not be reached for \d+ s .*start this site again"
    ):
        lonely.ping()
    assert time.monotonic() - began > 1


def test_an_aggregator_that_comes_back_is_found(port, servicer, monkeypatch):
    monkeypatch.setattr(module, "LONGEST_PAUSE_S", 0.1)
    client = AggregatorGRPCClient("localhost", port, "aggregator", "run_1", "one", use_tls=False)
    patient = AggregatorClient(client, SiteRounds(OpenSiteGate()), DUTIES, patience_s=60)
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(patient.ping)
        time.sleep(1)
        server = start(port, servicer)
        call.result(30)
    server.stop(0)
    assert servicer.calls == ["ping"]


def test_what_is_sent_is_logged_before_and_after(line):
    tensor = base_pb2.NamedTensor(name="model", data_bytes=b"weights")
    line.send_local_task_results(3, "train", 5, [tensor])
    assert [event[0] for event in line.gate.events] == ["sending", "sent"]
    assert line.gate.events[1][1] == {
        "digest": "digest",
        "site": "one",
        "round": 3,
        "what": "train",
    }


@pytest.mark.parametrize(
    "tasks", [["locally_tuned_model_validation"], ["train", "validation"], ["train", "train"]]
)
def test_tasks_that_are_not_the_plans_are_refused_and_that_is_logged(port, monkeypatch, tasks):
    client = AggregatorGRPCClient("localhost", port, "aggregator", "run_1", "one", use_tls=False)
    line = AggregatorClient(client, SiteRounds(OpenSiteGate()), DUTIES, patience_s=1)
    named = [aggregator_pb2.Task(name=task) for task in tasks]
    monkeypatch.setattr(client, "get_tasks", lambda: (named, 0, 0, False))
    with pytest.raises(Refused, match="this site's approved plan says"):
        line.get_tasks()
    assert line.gate.events[-1][0] == "refused"


def test_the_aggregator_cannot_have_a_site_sleep_for_years(port, monkeypatch):
    client = AggregatorGRPCClient("localhost", port, "aggregator", "run_1", "one", use_tls=False)
    line = AggregatorClient(client, SiteRounds(OpenSiteGate()), DUTIES, patience_s=1)
    answers = iter([([], 0, 2**31 - 1, False), ([], 0, -5, False)])
    monkeypatch.setattr(client, "get_tasks", lambda: next(answers))
    assert [line.get_tasks()[2] for _ in range(2)] == [module.LONGEST_WAIT_S, 0]


def test_before_each_new_piece_of_work_what_was_cached_is_dropped(line, servicer, monkeypatch):
    dropped: list[int] = []
    line.on_work = lambda: dropped.append(1)
    train = [aggregator_pb2.Task(name="train")]
    answers = iter([([], 0, 1, False), (train, 0, 0, False), (train, 0, 0, False)])
    monkeypatch.setattr(line.client, "get_tasks", lambda: next(answers))
    for _ in range(3):
        line.get_tasks()
    assert servicer.calls == [REVOCATIONS] * 2  # and the revocation lists are compared
    assert len(dropped) == 2  # also when the aggregator came back in the same round


class Way:
    """What stands in the way, when somebody looks."""

    def __init__(self, *found: str) -> None:
        self.found = list(found)
        self.looks = 0

    def __call__(self) -> None:
        self.looks += 1
        if self.found:
            raise AggregatorUnreachable(self.found[0])


def test_what_is_in_the_way_is_looked_for_and_told_once(line, servicer, caplog):
    line.look = Way("whatever listens there does not speak TLS: an SSH server.")
    servicer.answers = [grpc.StatusCode.UNAVAILABLE] * 3
    line.ping()
    told = [record.getMessage() for record in caplog.records if "No answer" in record.getMessage()]
    assert len(told) == 1
    assert "does not speak TLS: an SSH server. Trying again." in told[0]
    assert line.look.looks == 1


def test_the_end_of_the_patience_says_what_was_in_the_way(line, servicer):
    line.look = Way("connection to the proxy X, from the variable https_proxy, failed.")
    servicer.answers = [grpc.StatusCode.UNAVAILABLE] * 999
    with pytest.raises(
        AggregatorUnreachable, match=r"the variable https_proxy, failed\. Ask its op"
    ):
        line.ping()


def test_where_nothing_is_found_grpcs_own_words_are_told(line, servicer, caplog):
    line.look = Way()
    servicer.answers = [grpc.StatusCode.UNAVAILABLE]
    line.ping()
    assert "so it is Trying again." in caplog.text
