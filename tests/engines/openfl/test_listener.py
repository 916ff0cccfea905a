"""The listener over real mutual TLS: strangers, slow callers, floods, and honest calls."""

import threading
import time
from contextlib import contextmanager

import grpc
import pytest
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from openfl.cryptography.ca import generate_root_cert, sign_certificate
from openfl.cryptography.participant import generate_csr
from openfl.protocols import base_pb2

from scripts.local.processes import free_port
from src.engines.openfl.listener import AT_WORK, Listener, Method
from src.errors import PortTaken, Refused
from src.refusal import marked
from src.rounds import admission
from src.rounds.admission import Admission, Limits
from tests.patience import HANG_S, until

MOST = 8 * 2**20
SERVICE = "kit.Test"


@pytest.fixture(scope="module")
def authority():
    """Certificates by name, PEM: (key, certificate); the root under ''."""
    root_key, root = generate_root_cert()
    made = {"": (b"", root.public_bytes(Encoding.PEM))}
    for name in ("localhost", "one", "two", "mallory"):
        key, csr = generate_csr(name, server=name == "localhost")
        certificate = sign_certificate(csr, root_key, root.subject)
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
        made[name] = pem, certificate.public_bytes(Encoding.PEM)
    return made


class Answers:
    """What the methods do: an echo, and a call that lasts until it is let go."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.working = 0
        self.instances = []
        self.unkept = []

    def echo(self, message, caller) -> bytes:
        return caller.site.encode() + b":" + message

    def size(self, message, caller) -> bytes:
        return b"%d" % len(message.read())

    def last(self, message, caller) -> bytes:
        self.working += 1
        self.go.wait(HANG_S)
        self.working -= 1
        return b""

    def fail(self, message, caller) -> bytes:
        raise KeyError("a bug")

    def member(self, common_name, instance) -> str:
        self.instances.append(instance)
        if common_name not in ("one", "two"):
            raise Refused(marked(f"{common_name} is no member."))
        return common_name


@pytest.fixture
def answers():
    found = Answers()
    yield found
    found.go.set()


@pytest.fixture
def listening(authority, answers, tmp_path):
    """Starts a listener with some floor and grace; gives its port."""

    @contextmanager
    def start(floor: float = 1e5):
        limits = Limits(most_bytes=MOST, slowest_bytes_s=floor, calls_per_minute=6e4)
        methods = {
            "Ping": Method(answers.echo, quick=True),
            "Echo": Method(answers.echo),
            "Send": Method(answers.size, stream=True),
            "Last": Method(answers.last),
            "Fail": Method(answers.fail),
        }
        credentials = grpc.ssl_server_credentials(
            [authority["localhost"]], authority[""][1], require_client_auth=True
        )
        port = free_port()
        with Listener(
            f"localhost:{port}",
            credentials,
            SERVICE,
            methods,
            Admission(limits, answers.member, time.monotonic),
            tmp_path,
            lambda *error: answers.unkept.append(error),
        ):
            yield port

    return start


@pytest.fixture
def channel(authority):
    """channel(port, name): as a site; closed with the test."""
    opened = []

    def connect(port: int, name: str) -> grpc.Channel:
        credentials = grpc.ssl_channel_credentials(authority[""][1], *authority[name])
        # a connection of its own, else gRPC would share one between channels of a process
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_send_message_length", -1)]
        opened.append(grpc.secure_channel(f"localhost:{port}", credentials, options))
        return opened[-1]

    yield connect
    for one in opened:
        one.close()


def unary(channel, method: str, message: bytes = b"", **how):
    return channel.unary_unary(f"/{SERVICE}/{method}")(message, timeout=HANG_S, **how)


def pieces(size: int, count: int, pause_s: float = 0.0):
    for _ in range(count):
        yield base_pb2.DataStream(npbytes=b"x" * size, size=size).SerializeToString()
        time.sleep(pause_s)


def send(channel, stream):
    return channel.stream_unary(f"/{SERVICE}/Send")(stream, timeout=HANG_S)


class Endless:
    """A stream of some pieces that then waits, until it is ended."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.end = threading.Event()

    def __iter__(self):
        yield from pieces(1, self.count)
        self.end.wait(HANG_S)


@pytest.fixture
def hold():
    """hold(channels, method): calls that never end their message; streams say one byte before."""
    held = []

    def begin(channels, method: str):
        streams = [Endless(method == "Send") for _ in channels]
        held.extend(streams)
        return [
            channel.stream_unary(f"/{SERVICE}/{method}").future(iter(stream), timeout=HANG_S)
            for channel, stream in zip(channels, streams, strict=True)
        ]

    yield begin
    for stream in held:
        stream.end.set()


def test_a_member_is_answered_by_its_own_name(listening, channel, answers):
    with listening() as port:
        one = channel(port, "one")
        assert unary(one, "Echo", b"hello") == b"one:hello"
        assert unary(one, "Ping", metadata=(("instance", "a2f0"),)) == b"one:"
        assert answers.instances == [None, "a2f0"]


def test_an_upload_of_several_pieces_arrives_whole(listening, channel):
    with listening() as port:
        assert send(channel(port, "one"), pieces(2**21, 3)) == b"%d" % (3 * 2**21)


def test_a_stranger_is_refused_before_anything_of_its_call_is_read(listening, channel, hold):
    with listening() as port:
        mallory = channel(port, "mallory")
        for method in ("Ping", "Echo", "Send"):
            (call,) = hold([mallory], method)
            with pytest.raises(grpc.RpcError, match="mallory is no member") as refused:
                call.result(HANG_S)  # although it has not ended its message
            assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED


def test_fifty_open_calls_of_members_do_not_delay_another(listening, channel, hold):
    """Neither streams nor calls that never send their message keep a thread."""
    with listening() as port:
        for _ in range(25):
            hold([channel(port, "two")], "Send")
            hold([channel(port, "two")], "Echo")
        began = time.monotonic()
        assert send(channel(port, "one"), pieces(2**20, 1)) == b"%d" % 2**20
        assert unary(channel(port, "one"), "Ping") == b"one:"
        assert time.monotonic() - began < 1.0


def test_a_stream_that_is_too_long_is_refused_while_it_comes(listening, channel):
    with listening() as port, pytest.raises(grpc.RpcError, match=f"more than {MOST} bytes"):
        send(channel(port, "one"), pieces(2**21, 6))


def test_a_piece_larger_than_openfl_ever_sends_is_not_taken_into_memory(listening, channel):
    with listening() as port:
        for method in ("Ping", "Send"):
            with pytest.raises(grpc.RpcError, match="Received message larger than max"):
                unary(channel(port, "one"), method, b"x" * (3 * 2**20))


def test_a_stream_below_the_floor_is_given_up(listening, channel, hold, monkeypatch):
    monkeypatch.setattr(admission, "GRACE_S", 0.2)
    with listening(floor=1e6) as port:
        for method in ("Send", "Echo"):
            (call,) = hold([channel(port, "one")], method)
            with pytest.raises(grpc.RpcError, match="this run expects 1000000 a second"):
                call.result(HANG_S)
        assert send(channel(port, "one"), pieces(2**19, 4, 0.1)) == b"%d" % 2**21


def test_a_second_upload_of_a_site_ends_its_first(listening, channel, hold):
    with listening() as port:
        (first,) = hold([channel(port, "one")], "Send")
        until(lambda: first.running(), "the first upload")
        time.sleep(0.2)
        assert send(channel(port, "one"), pieces(10, 1)) == b"10"
        with pytest.raises(grpc.RpcError, match="a newer upload of this site has begun"):
            first.result(HANG_S)


def test_one_site_keeps_no_more_threads_than_its_share(listening, channel, answers):
    with listening() as port:
        one = channel(port, "one")
        calls = [one.unary_unary(f"/{SERVICE}/Last").future(b"", timeout=HANG_S) for _ in range(12)]
        until(lambda: answers.working == AT_WORK, "its calls to be at work")
        assert unary(channel(port, "two"), "Echo") == b"two:"
        assert unary(channel(port, "one"), "Ping") == b"one:"
        for call in calls[:6]:
            call.cancel()  # a call that is given up does not give its thread to the next
        time.sleep(0.2)
        assert answers.working == AT_WORK
        answers.go.set()
        assert [call.result(HANG_S) for call in calls[6:]] == [b""] * 6


def test_more_open_calls_than_an_honest_site_has_are_not_taken(listening, channel, answers):
    with listening() as port:
        one = channel(port, "one")
        last = one.unary_unary(f"/{SERVICE}/Last")
        calls = [last.future(b"", timeout=HANG_S) for _ in range(admission.MOST_CALLS)]
        until(lambda: answers.working == AT_WORK, "its calls to be at work")
        with pytest.raises(grpc.RpcError, match="16 calls of one are open already"):
            unary(one, "Echo")
        answers.go.set()
        assert [call.result(HANG_S) for call in calls] == [b""] * len(calls)


def test_a_bug_in_an_answer_ends_that_call_alone(listening, channel):
    with listening() as port:
        one = channel(port, "one")
        with pytest.raises(grpc.RpcError, match="Exception calling application: 'a bug'"):
            unary(one, "Fail")
        assert unary(one, "Echo") == b"one:"


def test_a_method_that_is_not_the_kits_is_not_there(listening, channel):
    with listening() as port, pytest.raises(grpc.RpcError) as missing:
        unary(channel(port, "one"), "InteropRelay")
    assert missing.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_an_upload_that_the_disk_does_not_take_is_told_to_the_operator(
    listening, channel, answers, tmp_path
):
    with listening() as port:
        tmp_path.rmdir()  # the folder where larger uploads wait
        with pytest.raises(grpc.RpcError):
            send(channel(port, "one"), pieces(2**21, 2))
        tmp_path.mkdir()
    ((site, error),) = answers.unkept
    assert site == "one"
    assert isinstance(error, OSError)


def test_a_port_that_is_taken_is_said_and_never_shared(listening, authority, tmp_path, answers):
    with listening() as port:
        credentials = grpc.ssl_server_credentials(
            [authority["localhost"]], authority[""][1], require_client_auth=True
        )
        limits = Limits(most_bytes=1, slowest_bytes_s=1, calls_per_minute=1)
        second = Listener(
            f"localhost:{port}",
            credentials,
            SERVICE,
            {},
            Admission(limits, answers.member, time.monotonic),
            tmp_path,
            lambda *_: None,
        )
        with pytest.raises(PortTaken, match=f"port {port} is in use by process"), second:
            pass
