"""A site's introduction (a door to OpenFL): a ping and its approval, before anything is started."""

from pathlib import Path

import grpc
from cryptography.hazmat.primitives.serialization import Encoding
from openfl.federated import Plan
from openfl.protocols import aggregator_pb2, aggregator_pb2_grpc, base_pb2, utils
from openfl.transport.grpc.common import create_header

from src.engines.openfl.client import details, refusal
from src.refusal import APPROVAL
from src.trust import approval, bundle
from src.trust.members import Members


def introduce(
    workspace: Path, site: str, members: Members, host: str, port: int, timeout_s: float
) -> str | None:
    """Show the site's certificate and approval; why the aggregator refuses them, None: it does not.

    A refused identity or another bundle shows here.
    """
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
            stub.Ping(aggregator_pb2.PingRequest(header=header), timeout=timeout_s)
            stream = utils.proto_to_datastream(message)
            stub.SendLocalTaskResults(iter(stream), timeout=timeout_s)
    except grpc.RpcError as error:
        return f"the aggregator refuses this site: {refusal(error) or details(error)}"
    return None
