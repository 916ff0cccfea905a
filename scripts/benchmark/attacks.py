"""`benchmark attacks`: each attack on who may speak and what runs, really carried out.

Against stock OpenFL 1.9 and against this kit: real `fx` processes, real certificates, real TLS.
"""

import json
import shutil
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import grpc
from rich.console import Console
from rich.table import Table

WIDTH = 140  # characters
ATTACK_S = 25.0  # a site that has not been stopped by then is at work, or retries for ever


# Whether it succeeded (None: there is nothing to attack), and what was heard.
Outcome = tuple[bool | None, str]
VERDICTS = {True: "[red]succeeds[/]", False: "refused", None: "[red]no such check[/]"}
FOR_EVER = "refused, and it tried again for ever, without a reason"


class Attacker:
    """Calls and poses, against one target. Each attack gives (succeeded, what was heard)."""

    def __init__(self, target) -> None:
        from openfl.federated import Plan

        self.target = target
        plan = Plan.parse((target.aggregator / "plan" / "plan.yaml").absolute())
        self.receiver = plan.aggregator_uuid
        self.federation = plan.federation_uuid
        self.chain = (target.aggregator / "cert" / "cert_chain.crt").read_bytes()
        if target.name == "this kit":
            from src.trust import members
            from src.trust.certificate import utc_now

            self.federation = f"run_{members.read(target.aggregator, utc_now()).run}"

    def ping(self, identity, sender: str) -> Outcome:
        """A call as `sender` with this identity (None: without TLS)."""
        from openfl.protocols import aggregator_pb2, aggregator_pb2_grpc
        from openfl.transport.grpc.common import create_header

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

    def pose_as_aggregator(self, identity) -> Outcome:
        """A server of mallory's, to which site s1 is led; does the site talk to it?"""
        from openfl.protocols import aggregator_pb2, aggregator_pb2_grpc
        from openfl.transport.grpc import AggregatorGRPCClient

        from scripts.processes import free_port

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
            from src.trust.gate import SiteGate

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
        """`fx collaborator start`; did it get as far as `sign` in its log?"""
        from scripts import fx
        from scripts.processes import Party, running

        workspace = self.target.site(name)
        log = workspace / "logs" / f"{name}.log"
        log.unlink(missing_ok=True)
        command = ("collaborator", "start", "-n", name)
        with running([Party.start(name, workspace, *command)]) as (party,):
            deadline = time.monotonic() + ATTACK_S
            while time.monotonic() < deadline:
                if sign in log.read_text(errors="replace"):
                    return True, "the site got work"
                if party.process.poll() is not None:
                    return False, reason_in_log(fx.last_lines(log, 40))
                time.sleep(0.2)
        return False, FOR_EVER


def said(error: grpc.RpcError) -> str:
    """The reason in a failed call."""
    from src.training.line import details

    text = details(error).rpartition("last error: ")[2]
    return text.removeprefix("Refused: ")


def reason_in_log(text: str) -> str:
    """The last error in a process's output, in one line."""
    joined = " ".join(line.strip() for line in text.splitlines())
    _, _, reason = joined.rpartition("Refused: ")
    return reason or joined[-200:]


# -- the attacks -------------------------------------------------------------------------------


def another_sites_name(attacker: Attacker) -> Outcome:
    from scripts.benchmark.targets import REFUSALS

    package = attacker.target.request("mallory", asked="s2")
    try:
        identity = attacker.target.certify(package, "mallory")
    except REFUSALS as refusal:
        return False, str(refusal)
    return attacker.ping(identity, "s2")


def aggregators_name(attacker: Attacker) -> Outcome:
    from scripts.benchmark.targets import REFUSALS

    package = attacker.target.request("mallory", asked="localhost")
    try:
        identity = attacker.target.certify(package, "mallory")
    except REFUSALS as refusal:
        return False, str(refusal)
    return attacker.pose_as_aggregator(identity)


def site_as_aggregator(attacker: Attacker) -> Outcome:
    from scripts.benchmark.targets import in_force

    identity = attacker.target.mint("mallory", *in_force(), san="localhost")
    return attacker.pose_as_aggregator(identity)


def foreign_authority(attacker: Attacker) -> Outcome:
    from openfl.cryptography.ca import generate_root_cert, sign_certificate
    from openfl.cryptography.participant import generate_csr

    from scripts.benchmark.targets import pem

    key, csr = generate_csr("s1")
    root_key, root = generate_root_cert()
    return attacker.ping(pem(key, sign_certificate(csr, root_key, root.subject)), "s1")


def expired(attacker: Attacker) -> Outcome:
    now = datetime.now(UTC)
    days = (now - timedelta(days=2), now - timedelta(days=1))
    return attacker.ping(attacker.target.mint("s1", *days, san="s1"), "s1")


def not_yet_valid(attacker: Attacker) -> Outcome:
    now = datetime.now(UTC)
    days = (now + timedelta(days=1), now + timedelta(days=2))
    return attacker.ping(attacker.target.mint("s1", *days, san="s1"), "s1")


def second_certificate(attacker: Attacker) -> Outcome:
    from scripts.benchmark.targets import in_force

    return attacker.ping(attacker.target.mint("s1", *in_force(), san="s1"), "s1")


def another_header(attacker: Attacker) -> Outcome:
    from scripts.benchmark.targets import identity_of

    return attacker.ping(identity_of(attacker.target.site("s1"), "s1"), "s2")


def plaintext(attacker: Attacker) -> Outcome:
    return attacker.ping(None, "s1")


def changed_code(attacker: Attacker) -> Outcome:
    path = attacker.target.site("s2") / "src" / "update.py"
    before = path.read_bytes()
    path.write_bytes(before + b"#")
    try:
        return attacker.start_site("s2", "Received Tasks")
    finally:
        path.write_bytes(before)


def changed_plan(attacker: Attacker) -> Outcome:
    path = attacker.target.site("s2") / "plan" / "plan.yaml"
    before = path.read_text()
    path.write_text(before.replace("rounds_to_train: 2", "rounds_to_train: 3"))
    try:
        return attacker.start_site("s2", "Received Tasks")
    finally:
        path.write_text(before)


def replayed_approval(attacker: Attacker) -> Outcome:
    """A site whose engineer has signed something else shows the aggregator an old signature."""
    if attacker.target.name != "this kit":
        return None, "there are no approvals: any code takes part"
    from openfl.protocols import aggregator_pb2, aggregator_pb2_grpc, base_pb2, utils
    from openfl.transport.grpc.common import create_header

    from scripts.benchmark.targets import identity_of
    from scripts.enrol import approve
    from src.refused import APPROVAL
    from src.trust import approval

    site = attacker.target.site("s2")
    path = site / "src" / "update.py"
    before = path.read_bytes()
    path.write_bytes(before + b"#")
    approve(site, "s2")  # an older bundle, once honestly signed
    old = (site / approval.FILE).read_bytes()
    path.write_bytes(before)
    approve(site, "s2")
    message = aggregator_pb2.TaskResults(
        header=create_header("s2", attacker.receiver, attacker.federation, ""),
        task_name=APPROVAL,
        tensors=[base_pb2.NamedTensor(name=APPROVAL, data_bytes=old)],
    )
    credentials = grpc.ssl_channel_credentials(attacker.chain, *identity_of(site, "s2"))
    with grpc.secure_channel(f"localhost:{attacker.target.port}", credentials) as channel:
        stub = aggregator_pb2_grpc.AggregatorStub(channel)
        try:
            stub.SendLocalTaskResults(iter(utils.proto_to_datastream(message)), timeout=15)
        except grpc.RpcError as error:
            return False, said(error)
    return True, "the aggregator took it"


def revoked(attacker: Attacker) -> Outcome:
    """s3's key was stolen; its certificate is revoked while the aggregator runs."""
    from scripts.benchmark.targets import identity_of

    identity = identity_of(attacker.target.site("s3"), "s3")
    before, heard = attacker.ping(identity, "s3")
    if not before:
        return False, f"it was not let in before either: {heard}"
    attacker.target.revoke("s3")
    return attacker.ping(identity, "s3")


ATTACKS: dict[str, Callable[[Attacker], Outcome]] = {
    "another site's name in a request": another_sites_name,
    "the aggregator's name in a site's request": aggregators_name,
    "a site's certificate serving as aggregator": site_as_aggregator,
    "certificate of a foreign authority": foreign_authority,
    "expired certificate": expired,
    "certificate not yet valid": not_yet_valid,
    "a second certificate of the same name": second_certificate,
    "header of another site": another_header,
    "plaintext client": plaintext,
    "one byte of src/ changed after the approval": changed_code,
    "plan changed after the approval": changed_plan,
    "approval of an older bundle, replayed": replayed_approval,
    "certificate revoked in the middle of a run": revoked,
}


def carry_out(target) -> dict[str, Outcome]:
    """Every attack on a target that listens; True: it succeeded."""
    with target.listening():
        attacker = Attacker(target)
        return {name: attack(attacker) for name, attack in ATTACKS.items()}


def verdict(outcome: Outcome) -> str:
    """One cell of the table."""
    succeeded, heard = outcome
    return "refused, retries for ever" if heard == FOR_EVER else VERDICTS[succeeded]


@click.command()
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write the rows here.")
def attacks(json_path: Path | None) -> None:
    """Attacks on identity and approval, against stock OpenFL and this kit."""
    from scripts.benchmark.targets import Kit, Stock

    console = Console(highlight=False, width=WIDTH)
    results = {}
    for kind in (Stock, Kit):
        folder = Path(tempfile.mkdtemp(prefix="attacks-"))
        try:
            target = kind(folder)
            console.print(f"[dim]{target.name}: enrolment …[/]")
            target.enrol()
            console.print(f"[dim]{target.name}: {len(ATTACKS)} attacks …[/]")
            results[target.name] = carry_out(target)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    table = Table("attack", *results, box=None)
    table.add_column("what this kit said", no_wrap=True, overflow="ellipsis")
    for name in ATTACKS:
        verdicts = [verdict(outcomes[name]) for outcomes in results.values()]
        table.add_row(name, *verdicts, results["this kit"][name][1])
    console.print(table)
    if json_path:
        json_path.write_text(json.dumps(results, indent=1))
