"""`python -m src <verb>`: what a site and the aggregator's host do beside `fx`."""

import json
import sys
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from src.files import write_atomically
from src.refused import Refused

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


@main.command("request-sealing")
@name_option
@workspace_option
def request_sealing(name: str, workspace: Path) -> None:
    """Add the site's second key to its certificate request; print the words for the desk."""
    from src.trust import fingerprint, sealing

    sha256 = sealing.request(workspace, name)
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
    """Take a package or a newer deny list from the desk."""
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
    from src.trust.doctor import examine, table

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
    from src.inference.export import export as write

    about = write(model, out, workspace)
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


if __name__ == "__main__":
    sys.path.insert(0, str(Path.cwd()))  # templates of the plan, as `fx` finds them
    try:
        main(prog_name="python -m src")
    except (ValueError, OSError) as error:
        click.echo(f"{click.style('error:', fg='red', bold=True)} {error}", err=True)
        sys.exit(1)
