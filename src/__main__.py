"""`python -m src <verb>`: what a site and the aggregator's host do beside `fx`."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table

from src.errors import Refused
from src.files import write_atomically

if TYPE_CHECKING:
    from src.differential_privacy.spending import Booked, DataSet

console = Console(highlight=False)

workspace_option = click.option(
    "--workspace",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    default=Path(),
    show_default="this folder",
    help="The OpenFL workspace.",
)
name_option = click.option("-n", "--name", required=True, help="The site's name.")


@click.group(help=__doc__)
def main() -> None:
    pass


@main.command("request-encryption-key")
@name_option
@workspace_option
def request_encryption_key(name: str, workspace: Path) -> None:
    """Add the site's second key to its certificate request; print the words for the desk."""
    from src.trust import encryption_key, fingerprint

    sha256 = encryption_key.request(workspace, name)
    package = workspace / f"col_{name}_to_agg_cert_request.zip"
    console.print(f"Request:     {package}   (carry it to the desk)", soft_wrap=True)
    console.print(f"Fingerprint: {sha256}", soft_wrap=True)
    console.print(f"Words:       [bold]{fingerprint.words(sha256)}[/]", soft_wrap=True)
    console.print("Next:        read the words to the desk by telephone")


@main.command("request-words")
@click.argument("request", type=click.Path(path_type=Path, exists=True, dir_okay=False))
def request_words(request: Path) -> None:
    """The words of a request that `fx aggregator generate-cert-request` has made."""
    from cryptography import x509

    from src.trust import fingerprint

    sha256 = fingerprint.of_requests(x509.load_pem_x509_csr(request.read_bytes()))
    console.print(f"Fingerprint: {sha256}", soft_wrap=True)
    console.print(f"Words:       [bold]{fingerprint.words(sha256)}[/]", soft_wrap=True)
    console.print("Next:        carry the file to the desk, read it the words by telephone")


@main.command()
@click.argument("package", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@workspace_option
@click.option("--new-authority", is_flag=True, help="Accept another authority than before.")
def receive(package: Path, workspace: Path, new_authority: bool) -> None:
    """Take a package or a newer revocation list from the desk."""
    from src.trust import fingerprint
    from src.trust.certificate import utc_now
    from src.trust.package import receive as take

    received = take(package, workspace, utc_now(), new_root=new_authority)
    for path in received.files:
        console.print(f"  {path}")
    if received.root_is_new:
        words = fingerprint.words(fingerprint.of_certificate(received.root))
        console.print(f"Authority: [bold]{words}[/]", soft_wrap=True)
        console.print("Compare these words with the desk by telephone. Next: python -m src show")


@main.command()
@workspace_option
def show(workspace: Path) -> None:
    """What would run here: rounds, what leaves, who takes part, what has changed."""
    from src.trust import fingerprint
    from src.trust.certificate import utc_now
    from src.trust.review import review

    found = review(workspace, utc_now())
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for name, text in found.facts:
        table.add_row(name, text, style=None)
    console.print(table)
    _show_changes(found.changes)
    if found.members is None:
        console.print("\nNo member list yet: nothing to approve. Next: certificates, from the desk")
        return
    people = Table("member", "role", "certificate SHA-256", "good until (UTC)", box=None)
    for member in found.members.members:
        until = f"{member.certificate.not_valid_after_utc:%F %H:%M}"
        people.add_row(member.name, member.role.name, member.sha256[:32] + "…", until)
    console.print()
    console.print(people)
    console.print(f"\nAuthority: [bold]{fingerprint.words(found.root)}[/]", soft_wrap=True)
    console.print(f"Bundle:    {found.digest}", soft_wrap=True)
    console.print(f"Words:     [bold]{fingerprint.words(found.digest)}[/]", soft_wrap=True)
    console.print("Next:      compare both rows of words by telephone, then python -m src approve")


def _show_changes(changes: list[str] | None) -> None:
    console.print()
    if changes is None:
        console.print("Nothing was approved in this folder before: read all of plan/ and src/.")
        return
    console.print(f"Since the last approval {len(changes) or 'no'} lines differ.")
    for line in changes:
        console.print(f"  {line}", markup=False, soft_wrap=True)


@main.command()
@name_option
@workspace_option
@click.option("--words", help="The bundle's words, as the desk reads them; asked for if left out.")
def approve(name: str, workspace: Path, words: str | None) -> None:
    """Sign, with the site's key, that exactly this bundle may run here."""
    from src.trust import approval, fingerprint
    from src.trust.gate import SiteGate

    gate = SiteGate(str(workspace))
    member = gate.identify(name)
    heard = words or click.prompt("The bundle's words, as the desk reads them")
    digest = gate.bundle.digest
    if not fingerprint.same_words(heard, digest):
        raise Refused(
            f"The bundle in {workspace} has other words: {fingerprint.words(digest)}. It is not "
            "the one that the desk means. Nothing was signed."
        )
    run = gate.members.run
    path = approval.approve(workspace, gate.bundle, run, member, gate.key, gate.now())
    gate.log("approved", site=name, bundle=digest)
    console.print(f"Approved: {digest}\nSigned:   {path}", soft_wrap=True)
    console.print(f"Next:     python -m src doctor -n {name}")


@main.command()
@click.option("-n", "--name", help="The site's name; left out at the aggregator.")
@workspace_option
@click.option("--offline", is_flag=True, help="Leave the line to the aggregator out.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Also as JSON.")
def doctor(name: str | None, workspace: Path, offline: bool, json_path: Path | None) -> None:
    """Would a start here work, and be safe? A table, and exit code 1 if not."""
    from src.preflight.doctor import examine, table

    findings = examine(workspace, name, offline=offline)
    if json_path:
        rows = [finding.__dict__ for finding in findings]
        write_atomically(json_path, json.dumps(rows, indent=1))
    console.print(table(findings))
    failed = [finding for finding in findings if finding.state == "fail"]
    if failed:
        console.print(f"[red]{len(failed)} must be put right before a start.[/]")
        sys.exit(1)
    start = f"fx collaborator start -n {name}" if name else "fx aggregator start"
    console.print(f"Ready. Next: {start}")


@main.command()
@click.option(
    "--model",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    default=Path("save/final.pbuf"),
    show_default=True,
    help="The federation's model.",
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="File, e.g. model.pt.")
@workspace_option
def export(model: Path, out: Path, workspace: Path) -> None:
    """The final model as a torch file; an encrypted one is verified and opened, at a site."""
    from src.engines.openfl.model_file import read_model
    from src.inference.export import export as write

    about = write(model, read_model(model, workspace), out, workspace)
    console.print(f"Model:  {out}  ({about['network']}, {about['values']:,} values)")
    console.print(f"From:   {model}, SHA-256 {about['source_sha256']}", soft_wrap=True)
    console.print("Next:   torch.load(…, weights_only=True)['model_state_dict'] into that network")


@main.group()
def audit() -> None:
    """Check the audit logs."""


@audit.command()
@click.argument("log", type=click.Path(path_type=Path), required=False)
@click.option("--against", type=click.Path(path_type=Path), help="The other party's log.")
@workspace_option
def verify(log: Path | None, against: Path | None, workspace: Path) -> None:
    """Find an altered, dropped or reordered line; compare a site's log with the aggregator's."""
    from src.trust.audit import FILE
    from src.trust.audit_check import check

    log = log or workspace / FILE
    for line in check(log, against, workspace):
        console.print(line, soft_wrap=True)


@main.group()
def ledger() -> None:
    """What has been spent of patients' privacy at this site."""


@ledger.command("show")
@name_option
@workspace_option
def show_ledger(name: str, workspace: Path) -> None:
    """By data set: what each run has booked, the epsilon spent, and what is left of the plan's."""
    from src.differential_privacy.guarantee import guarantees
    from src.differential_privacy.ledger import folder
    from src.differential_privacy.spending import spending
    from src.plan import plan as plans
    from src.plan import rules
    from src.trust.bundle import PLAN
    from src.trust.ledger_check import read

    plan = plans.read(workspace / PLAN)
    rules.check(plan, name=str(workspace / PLAN))
    found = spending(read(folder()), guarantees(plan), name)
    for data_set in found:
        _show_data_set(data_set)
    if not found:
        console.print(f"Nothing has been booked for {name} in {folder()}.", soft_wrap=True)
    console.print(f"Ledgers: {folder()}   (keep a backup, delete none)", soft_wrap=True)
    console.print(f"Next:    python -m src ledger verify -n {name}")


def _show_data_set(data_set: "DataSet") -> None:
    ledger_file = data_set.ledger_file
    since = ledger_file.lines[0]["time"][:10]
    about = f"{ledger_file.site}, {ledger_file.patients} patients, since {since}"
    console.print(f"[bold]{ledger_file.path.name}[/]  {about}", soft_wrap=True)
    for other in data_set.beside:
        console.print(f"  shares patients with {other}, counted in")
    if data_set.booked:
        console.print(_booked_table(data_set.booked))
    for spent in data_set.spent:
        console.print(
            f"  spent of each {spent.unit}: epsilon [bold]{spent.rdp:.3f}[/] (by PRV "
            f"{spent.prv:.3f}) at delta {spent.delta:g}"
        )
        if spent.budget is not None:
            console.print(
                f"  the plan allows {spent.budget:g}: {max(spent.budget - spent.rdp, 0):.3f} left, "
                f"which pays for {spent.more} more rounds of it"
            )
    console.print()


def _booked_table(booked: "list[Booked]") -> Table:
    names = ("run", "what", "unit", "rounds", "noise", "rate", "steps", "booked")
    table = Table(*names, box=None, padding=(0, 1, 0, 2))
    for entry in booked:
        event = entry.event
        days = dict.fromkeys((entry.first[:10], entry.last[:10]))
        table.add_row(
            entry.run[:8],
            entry.what,
            entry.unit,
            f"{entry.rounds}",
            f"{event.noise_multiplier:.3f}",
            f"{event.sample_rate:g}",
            f"{event.steps}",
            " – ".join(days),
        )
    return table


@ledger.command("verify")
@name_option
@workspace_option
def verify_ledger(name: str, workspace: Path) -> None:
    """Find an altered, dropped, reordered or forged line, and a lost ledger."""
    from src.differential_privacy.ledger import folder
    from src.trust import members
    from src.trust.certificate import utc_now
    from src.trust.ledger_check import check

    members.read(workspace, utc_now()).site(name)
    for state, text in check(folder(), workspace, utc_now()):
        console.print(text if state == "ok" else f"[yellow]{text}[/]", soft_wrap=True)


if __name__ == "__main__":
    sys.path.insert(0, str(Path.cwd()))  # templates of the plan, as `fx` finds them
    try:
        main(prog_name="python -m src")
    except (ValueError, OSError) as error:
        click.echo(f"{click.style('error:', fg='red', bold=True)} {error}", err=True)
        sys.exit(1)
