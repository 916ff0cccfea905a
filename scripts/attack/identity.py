"""`attack identity`: carry out each attack on who may speak and on what runs.

Each is tried against stock OpenFL 1.9 and against this kit, with real `fx` processes, real
certificates and real TLS. An attack returns (whether it succeeded, what was heard).
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click
import grpc
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from scripts.attack.attacker import Attacker, Outcome

WIDTH = 140  # characters


VERDICTS = {True: "[red]succeeds[/]", False: "refused", None: "[red]no such check[/]"}


# -- the attacks -------------------------------------------------------------------------------


def another_sites_name(attacker: Attacker) -> Outcome:
    """Mallory, a site, asks for a certificate in the name of site s2, and calls with it."""
    from scripts.attack.targets import REFUSALS

    package = attacker.target.request("mallory", asked="s2")
    try:
        identity = attacker.target.certify(package, "mallory")
    except REFUSALS as refusal:
        return False, str(refusal)
    return attacker.ping(identity, "s2")


def aggregators_name(attacker: Attacker) -> Outcome:
    """Mallory asks for a certificate in the aggregator's name, and poses as the aggregator."""
    from scripts.attack.targets import REFUSALS

    package = attacker.target.request("mallory", asked="localhost")
    try:
        identity = attacker.target.certify(package, "mallory")
    except REFUSALS as refusal:
        return False, str(refusal)
    return attacker.pose_as_aggregator(identity)


def site_as_aggregator(attacker: Attacker) -> Outcome:
    """Mallory poses as the aggregator with a site's certificate."""
    from scripts.attack.targets import in_force

    identity = attacker.target.mint("mallory", *in_force(), san="localhost")
    return attacker.pose_as_aggregator(identity)


def foreign_authority(attacker: Attacker) -> Outcome:
    """A certificate comes from an authority that mallory has made."""
    from openfl.cryptography.ca import generate_root_cert, sign_certificate
    from openfl.cryptography.participant import generate_csr

    from scripts.attack.targets import pem

    key, csr = generate_csr("s1")
    root_key, root = generate_root_cert()
    return attacker.ping(pem(key, sign_certificate(csr, root_key, root.subject)), "s1")


def expired(attacker: Attacker) -> Outcome:
    """The certificate has expired."""
    now = datetime.now(UTC)
    days = (now - timedelta(days=2), now - timedelta(days=1))
    return attacker.ping(attacker.target.mint("s1", *days, san="s1"), "s1")


def not_yet_valid(attacker: Attacker) -> Outcome:
    """The certificate is not valid yet."""
    now = datetime.now(UTC)
    days = (now + timedelta(days=1), now + timedelta(days=2))
    return attacker.ping(attacker.target.mint("s1", *days, san="s1"), "s1")


def second_certificate(attacker: Attacker) -> Outcome:
    """A second certificate is issued to the name of a site that has one."""
    from scripts.attack.targets import in_force

    return attacker.ping(attacker.target.mint("s1", *in_force(), san="s1"), "s1")


def another_header(attacker: Attacker) -> Outcome:
    """Site s1 calls with its own certificate and says in the message that it is s2."""
    from scripts.attack.targets import identity_of

    return attacker.ping(identity_of(attacker.target.site("s1"), "s1"), "s2")


def plaintext(attacker: Attacker) -> Outcome:
    """A client calls without TLS."""
    return attacker.ping(None, "s1")


def changed_code(attacker: Attacker) -> Outcome:
    """One byte of the code is changed after the approval."""
    path = attacker.target.site("s2") / "src" / "update.py"
    before = path.read_bytes()
    path.write_bytes(before + b"#")
    try:
        return attacker.start_site("s2", "Received Tasks")
    finally:
        path.write_bytes(before)


def changed_plan(attacker: Attacker) -> Outcome:
    """The plan is changed after the approval."""
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

    from scripts.attack.attacker import said
    from scripts.attack.targets import identity_of
    from scripts.local.enrol import approve
    from src.errors import APPROVAL
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
    from scripts.attack.targets import identity_of

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
    """Carry out every attack on a target that listens."""
    from scripts.attack.attacker import Attacker

    with target.listening():
        attacker = Attacker(target)
        return {name: attack(attacker) for name, attack in ATTACKS.items()}


def verdict(outcome: Outcome) -> str:
    """An outcome as one cell of the table."""
    from scripts.attack.attacker import FOR_EVER

    succeeded, heard = outcome
    return "refused, retries for ever" if heard == FOR_EVER else VERDICTS[succeeded]


@click.command()
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write the rows here.")
def identity(json_path: Path | None) -> None:
    """Attacks on identity and approval, against stock OpenFL and this kit."""
    from scripts.attack.targets import Kit, Stock

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
