"""A site's introduction (a door to OpenFL): a ping and its approval, before anything is started."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import grpc
from cryptography.hazmat.primitives.serialization import Encoding
from openfl.federated import Plan
from openfl.protocols import aggregator_pb2, aggregator_pb2_grpc, base_pb2, utils
from openfl.transport.grpc.common import create_header

from src.engines.openfl.client import PASSING, details, said
from src.refusal import APPROVAL
from src.rounds import clocks
from src.trust import approval, bundle
from src.trust.members import Members


@dataclass(frozen=True)
class Answer:
    """problem: why the site cannot take part; None: it can. metadata: what came with the answer."""

    problem: str | None
    metadata: tuple[tuple[str, str | bytes], ...] = ()

    def clock(self, now: datetime) -> str | None:
        """A warning, if the clock here is too far from the aggregator's."""
        return clocks.difference(self.metadata, now)


def introduce(
    workspace: Path, site: str, members: Members, host: str, port: int, timeout_s: float
) -> Answer:
    """Show the site's certificate and approval. A refused identity or another bundle shows here."""
    plan = Plan.parse(workspace.absolute() / bundle.PLAN)
    header = create_header(
        sender=site,
        receiver=plan.aggregator_uuid,
        federation_uuid=f"run_{members.run}",
        single_col_cert_common_name="",
    )
    own = workspace / "cert" / "client" / f"col_{site}.crt"
    credentials = grpc.ssl_channel_credentials(
        members.aggregator.certificate.public_bytes(Encoding.PEM),
        own.with_suffix(".key").read_bytes(),
        own.read_bytes(),
    )
    content = (workspace / approval.FILE).read_bytes()
    message = aggregator_pb2.TaskResults(
        header=header,
        task_name=APPROVAL,
        tensors=[base_pb2.NamedTensor(name=APPROVAL, data_bytes=content)],
    )
    try:
        with grpc.secure_channel(f"{host}:{port}", credentials) as channel:
            stub = aggregator_pb2_grpc.AggregatorStub(channel)
            ping = aggregator_pb2.PingRequest(header=header)
            _, call = stub.Ping.with_call(ping, timeout=timeout_s)
            stream = utils.proto_to_datastream(message)
            stub.SendLocalTaskResults(iter(stream), timeout=timeout_s)
    except grpc.RpcError as error:
        return Answer(_words(error, f"{host}:{port}"))
    return Answer(None, tuple(call.trailing_metadata() or ()))


def _words(error: grpc.RpcError, place: str) -> str:
    """Only what the aggregator itself has said is called a refusal."""
    if reason := said(error):
        return f"the aggregator refuses this site: {reason}"
    if error.code() in PASSING:  # type: ignore
        return (
            f"TLS with {place} works, but no answer comes through gRPC: {details(error)}. Is the "
            "aggregator busy, or has it just ended? Try again, then ask its operator."
        )
    return f"the aggregator at {place} fails to answer: {details(error)}. Ask its operator."
