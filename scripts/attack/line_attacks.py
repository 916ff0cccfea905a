"""Attacks on the aggregator's line: whom it waits for, and what it takes into its memory.

Real `fx` processes and real TLS. A stranger holds a certificate that the authority has issued and
with which nobody is let in: at this kit a second one of a site's name, at OpenFL, which takes that,
one of a name that is not listed. A member is an honest site by its certificate, and does what it
likes.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import grpc
import psutil
from openfl.protocols import aggregator_pb2, aggregator_pb2_grpc, base_pb2, utils
from openfl.transport.grpc.common import create_header
from rich.console import Console
from rich.table import Table

from scripts.attack.attacker import Attacker
from scripts.attack.targets import Identity, Kit, Stock, Target, identity_of, in_force
from src.refusal import APPROVAL
from src.rounds.instances import METADATA, new_instance
from src.trust import approval

STREAMS, PER_CHANNEL = 50, 10
HOLD_S = 20.0  # for which the stranger holds his streams: an attacker would do so for ever
FLOOD_BYTES, PIECE_BYTES = 400_000_000, 2_000_000
CALLS = 16
PING_S = 30.0
EVERY_S = 0.1


class Line:
    """Calls to the aggregator of one target."""

    def __init__(self, attacker: Attacker) -> None:
        self.attacker = attacker
        self.target = attacker.target
        self.instances: dict[str, str] = {}

    def stub(self, identity: Identity) -> aggregator_pb2_grpc.AggregatorStub:
        """A connection of its own."""
        credentials = grpc.ssl_channel_credentials(self.attacker.chain, *identity)
        channel = grpc.secure_channel(
            f"localhost:{self.target.port}", credentials, [("grpc.use_local_subchannel_pool", 1)]
        )
        return aggregator_pb2_grpc.AggregatorStub(channel)

    def header(self, sender: str) -> aggregator_pb2.MessageHeader:
        """As an honest site's."""
        return create_header(sender, self.attacker.receiver, self.attacker.federation, "")

    def member(self, site: str) -> aggregator_pb2_grpc.AggregatorStub:
        """A site's connection, after it has introduced itself as one process of that site."""
        stub = self.stub(identity_of(self.target.site(site), site))
        self.instances[site] = new_instance()
        self.upload(stub, site)
        return stub

    def about(self, site: str) -> tuple[tuple[str, str], ...]:
        """What an honest site says beside each call."""
        return ((METADATA, self.instances[site]),)

    def upload(self, stub: aggregator_pb2_grpc.AggregatorStub, site: str) -> float:
        """Seconds of the smallest upload that is taken.

        At this kit a site's approval; at OpenFL a result for a round that is not open.
        """
        file = self.target.site(site) / approval.FILE
        content = file.read_bytes() if file.is_file() else b""
        message = aggregator_pb2.TaskResults(
            header=self.header(site), task_name=APPROVAL, round_number=0 if content else 99
        )
        for shown in (content, self.instances[site].encode()) if content else ():
            message.tensors.append(base_pb2.NamedTensor(name=APPROVAL, data_bytes=shown))
        stream = utils.proto_to_datastream(message)
        began = time.monotonic()
        stub.SendLocalTaskResults(stream, timeout=3 * HOLD_S, metadata=self.about(site))
        return time.monotonic() - began

    def stranger(self) -> Identity:
        """A certificate of the authority's with which nobody is let in.

        (Not a revoked one: the run would end, since it waits for every site.)
        """
        name = "mallory" if self.target.name == Stock.name else "s3"
        return self.target.mint(name, *in_force(), san=name)


def held_streams(line: Line) -> dict[str, float]:
    """The worst delay of a site's upload while a stranger holds 50 streams of one byte each."""
    honest = line.member("s1")
    alone = max(line.upload(honest, "s1") for _ in range(10))
    ended = threading.Event()

    def one_byte() -> Iterator[base_pb2.DataStream]:
        yield base_pb2.DataStream(npbytes=b"x", size=1)
        ended.wait(HOLD_S)

    identity = line.stranger()
    stubs = [line.stub(identity) for _ in range(STREAMS // PER_CHANNEL)]
    calls = [
        stub.SendLocalTaskResults.future(one_byte()) for stub in stubs for _ in range(PER_CHANNEL)
    ]
    time.sleep(1.0)
    worst, until = 0.0, time.monotonic() + HOLD_S - 1
    while time.monotonic() < until:
        worst = max(worst, line.upload(honest, "s1"))
        time.sleep(EVERY_S)
    ended.set()
    for call in calls:
        call.cancel()
    return {"upload alone, s": alone, f"upload beside {STREAMS} held streams, s": worst}


def flood(line: Line) -> dict[str, float]:
    """How the aggregator's memory grows by a stranger's stream of 400 MB."""
    process = psutil.Process(line.target.process)

    def pieces() -> Iterator[base_pb2.DataStream]:
        for _ in range(FLOOD_BYTES // PIECE_BYTES):
            yield base_pb2.DataStream(npbytes=bytes(PIECE_BYTES), size=PIECE_BYTES)

    stub = line.stub(line.stranger())
    before = process.memory_info().rss
    with peak(process) as most, suppress(grpc.RpcError):
        stub.SendLocalTaskResults(pieces(), timeout=120)
    return {"memory by a stream of 400 MB, MB": (most() - before) / 1e6}


@contextmanager
def peak(process: psutil.Process) -> Iterator[Callable[[], int]]:
    """Gives the most memory that the process has had in the block, and two seconds longer."""
    found, ended = [process.memory_info().rss], threading.Event()

    def watch() -> None:
        while not ended.wait(0.01):
            found.append(process.memory_info().rss)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield lambda: max(found)
    finally:
        time.sleep(2.0)
        ended.set()
        thread.join()


def absent_tensors(line: Line) -> dict[str, float]:
    """How long a site's heartbeat takes while a member asks 16 times for what is not there."""
    other, mallory = line.member("s1"), line.member("s2")
    request = aggregator_pb2.GetAggregatedTensorRequest(
        header=line.header("s2"), tensor_name="absent", tags=["model"], require_lossless=True
    )
    asked = mallory.GetAggregatedTensor
    calls = [asked.future(request, metadata=line.about("s2")) for _ in range(CALLS)]
    time.sleep(1.0)
    began, ping = time.monotonic(), aggregator_pb2.PingRequest(header=line.header("s1"))
    with suppress(grpc.RpcError):  # a deadline that has passed is a figure, too
        other.Ping(ping, timeout=PING_S, metadata=line.about("s1"))
    waited = time.monotonic() - began
    for call in calls:
        call.cancel()
    return {f"heartbeat beside {CALLS} calls for nothing, s": waited}


ATTACKS = (held_streams, flood, absent_tensors)


def carry_out(target: Target) -> dict[str, float]:
    """The figures of each attack on a target; the aggregator is started anew for each."""
    figures = {}
    for attack in ATTACKS:
        with target.listening():
            figures |= attack(Line(Attacker(target)))
    return figures


def show(console: Console, results: dict[str, dict[str, float]]) -> None:
    """A row for each figure."""
    table = Table("figure", *results, box=None, pad_edge=False)
    for name in results[Kit.name]:
        table.add_row(name, *(f"{figures[name]:.2f}" for figures in results.values()))
    console.print(table)
