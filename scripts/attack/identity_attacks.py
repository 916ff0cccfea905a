"""Each attack on who may speak and what runs, really carried out against one target.

Real `fx` processes, real certificates, real TLS. An attack gives whether it succeeded, and what was
heard.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
from openfl.cryptography.ca import generate_root_cert, sign_certificate
from openfl.cryptography.participant import generate_csr
from openfl.protocols import aggregator_pb2, aggregator_pb2_grpc, base_pb2, utils
from openfl.transport.grpc.common import create_header
from rich.console import Console
from rich.table import Table

from scripts.attack.attacker import FOR_EVER, Attacker, Outcome, said
from scripts.attack.targets import REFUSALS, Target, identity_of, in_force, pem
from scripts.local.enrol import approve
from src.refusal import APPROVAL
from src.trust import approval

CHANGED = Path("src") / "model_vector.py"  # the file of a site that an attack alters
VERDICTS = {True: "[red]succeeds[/]", False: "refused", None: "[red]no such check[/]"}


def another_sites_name(attacker: Attacker) -> Outcome:
    """Mallory, a site, asks for a certificate in the name of site s2, and calls with it."""
    package = attacker.target.request("mallory", asked="s2")
    try:
        identity = attacker.target.certify(package, "mallory")
    except REFUSALS as refusal:
        return False, str(refusal)
    return attacker.ping(identity, "s2")


def aggregators_name(attacker: Attacker) -> Outcome:
    """Mallory asks for a certificate in the aggregator's name, and poses as the aggregator."""
    package = attacker.target.request("mallory", asked="localhost")
    try:
        identity = attacker.target.certify(package, "mallory")
    except REFUSALS as refusal:
        return False, str(refusal)
    return attacker.pose_as_aggregator(identity)


def site_as_aggregator(attacker: Attacker) -> Outcome:
    """Mallory poses as the aggregator with a site's certificate."""
    identity = attacker.target.mint("mallory", *in_force(), san="localhost")
    return attacker.pose_as_aggregator(identity)


def foreign_authority(attacker: Attacker) -> Outcome:
    """A certificate comes from an authority that mallory has made."""
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
    return attacker.ping(attacker.target.mint("s1", *in_force(), san="s1"), "s1")


def another_header(attacker: Attacker) -> Outcome:
    """Site s1 calls with its own certificate and says in the message that it is s2."""
    return attacker.ping(identity_of(attacker.target.site("s1"), "s1"), "s2")


def plaintext(attacker: Attacker) -> Outcome:
    """A client calls without TLS."""
    return attacker.ping(None, "s1")


def changed_code(attacker: Attacker) -> Outcome:
    """One byte of the code is changed after the approval."""
    path = attacker.target.site("s2") / CHANGED
    before = path.read_bytes()
    path.write_bytes(before + b"#")
    try:
        return attacker.start_site("s2", "Received Tasks")
    finally:
        path.write_bytes(before)


def changed_plan(attacker: Attacker) -> Outcome:
    """The plan is changed after the approval."""
    path = attacker.target.site("s2") / "plan" / "plan.yaml"
    before = path.read_text(encoding="utf-8")
    path.write_text(before.replace("rounds_to_train: 2", "rounds_to_train: 3"), encoding="utf-8")
    try:
        return attacker.start_site("s2", "Received Tasks")
    finally:
        path.write_text(before, encoding="utf-8")


def replayed_approval(attacker: Attacker) -> Outcome:
    """A site whose engineer has signed something else shows the aggregator an old signature."""
    if attacker.target.name != "this kit":
        return None, "there are no approvals: any code takes part"
    site = attacker.target.site("s2")
    path = site / CHANGED
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


def carry_out(target: Target) -> dict[str, Outcome]:
    """Carry out every attack on a target that listens."""
    with target.listening():
        attacker = Attacker(target)
        return {name: attack(attacker) for name, attack in ATTACKS.items()}


def verdict(outcome: Outcome) -> str:
    """An outcome as one cell of the table."""
    succeeded, heard = outcome
    return "refused, retries for ever" if heard == FOR_EVER else VERDICTS[succeeded]


def show(console: Console, results: dict[str, dict[str, Outcome]]) -> None:
    """A row for each attack, and below it what this kit said to the attacker."""
    table = Table("attack", *results, box=None, pad_edge=False)
    for name in ATTACKS:
        table.add_row(name, *(verdict(outcomes[name]) for outcomes in results.values()))
    console.print(table)
    console.print("\nWhat this kit said:")
    for name, (_, heard) in results["this kit"].items():
        console.print(f"  {name}: {heard}", markup=False, soft_wrap=True)
