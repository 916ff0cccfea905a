"""The attacker of `attack identity`: it calls as others, poses as the aggregator, starts sites."""

import time
from concurrent.futures import ThreadPoolExecutor

import grpc
from openfl.federated import Plan
from openfl.protocols import aggregator_pb2, aggregator_pb2_grpc
from openfl.transport.grpc import AggregatorGRPCClient
from openfl.transport.grpc.common import create_header

from scripts.attack.targets import Identity, Target
from scripts.local import fx
from scripts.local.processes import Party, free_port, running
from src.engines.openfl.client import details
from src.trust import members
from src.trust.certificate import utc_now
from src.trust.gate import SiteGate

ATTACK_S = 25.0  # a site that has not been stopped by then is at work, or retries for ever
FOR_EVER = "refused, and it tried again for ever, without a reason"
# Whether it succeeded (None: there is nothing to attack), and what was heard.
Outcome = tuple[bool | None, str]


class Attacker:
    """The attacker of one target. Each attack returns (whether it succeeded, what was heard)."""

    def __init__(self, target: Target) -> None:
        self.target = target
        plan = Plan.parse((target.aggregator / "plan" / "plan.yaml").absolute())
        self.receiver = plan.aggregator_uuid
        self.federation = plan.federation_uuid
        self.chain = (target.aggregator / "cert" / "cert_chain.crt").read_bytes()
        if target.name == "this kit":
            self.federation = f"run_{members.read(target.aggregator, utc_now()).run}"

    def ping(self, identity: Identity | None, sender: str) -> Outcome:
        """Call the aggregator as `sender` with this identity (None: without TLS)."""
        address = f"localhost:{self.target.port}"
        if identity is None:
            channel = grpc.insecure_channel(address)
        else:
            channel = grpc.secure_channel(
                address, grpc.ssl_channel_credentials(self.chain, *identity)
            )
        header = create_header(sender, self.receiver, self.federation, "")
        with channel:
            try:
                request = aggregator_pb2.PingRequest(header=header)
                aggregator_pb2_grpc.AggregatorStub(channel).Ping(request, timeout=15)
            except grpc.RpcError as error:
                return False, said(error)
        return True, "the aggregator answered"

    def pose_as_aggregator(self, identity: Identity) -> Outcome:
        """Serve under this identity, lead site s1 there, and see whether the site talks."""

        class Rogue(aggregator_pb2_grpc.AggregatorServicer):
            def Ping(self, request, context):  # noqa: N802
                header = aggregator_pb2.MessageHeader(
                    sender=request.header.receiver,
                    receiver=request.header.sender,
                    federation_uuid=request.header.federation_uuid,
                )
                return aggregator_pb2.PingResponse(header=header)

        port = free_port()
        server = grpc.server(ThreadPoolExecutor(2))
        aggregator_pb2_grpc.add_AggregatorServicer_to_server(Rogue(), server)
        credentials = grpc.ssl_server_credentials([identity], self.chain, True)
        server.add_secure_port(f"localhost:{port}", credentials)
        server.start()
        site = self.target.site("s1")
        root = site / "cert" / "cert_chain.crt"
        if self.target.name == "this kit":
            gate = SiteGate(str(site))
            gate.open("s1")
            root = gate.pinned
        stem = site / "cert" / "client" / "col_s1"
        client = AggregatorGRPCClient(
            "localhost",
            port,
            self.receiver,
            self.federation,
            "s1",
            root_certificate=str(root),
            certificate=f"{stem}.crt",
            private_key=f"{stem}.key",
            resend_data_on_reconnection=False,
        )
        try:
            client.ping()
        except grpc.RpcError as error:
            return False, said(error)
        finally:
            client.disconnect()
            server.stop(0)
        return True, "the site talked to mallory's server"

    def start_site(self, name: str, sign: str) -> Outcome:
        """Run `fx collaborator start`, and see whether it gets as far as `sign` in its log."""
        workspace = self.target.site(name)
        log = workspace / "logs" / f"{name}.log"
        log.unlink(missing_ok=True)
        command = ("collaborator", "start", "-n", name)
        with running([Party.start(name, workspace, *command)]) as (party,):
            deadline = time.monotonic() + ATTACK_S
            while time.monotonic() < deadline:
                if sign in log.read_text(errors="replace", encoding="utf-8"):
                    return True, "the site got work"
                if party.process.poll() is not None:
                    return False, reason_in_log(fx.last_lines(log, 40))
                time.sleep(0.2)
        return False, FOR_EVER


def said(error: grpc.RpcError) -> str:
    """The reason that a failed call gives."""
    text = details(error).rpartition("last error: ")[2]
    return text.removeprefix("Refused: ")


def reason_in_log(text: str) -> str:
    """The last error in a process's output, on one line."""
    joined = " ".join(line.strip() for line in text.splitlines())
    _, _, reason = joined.rpartition("Refused: ")
    return reason or joined[-200:]
