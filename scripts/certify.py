"""`certify`: the desk's ceremony. Who takes part, whose certificate is good, who is let in no more.

The desk's folder holds the authority's keys, encrypted. Keep it off the network, and off the
aggregator's machine.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from rich.table import Table
from rich.text import Text

from scripts import options
from scripts.options import quoted
from src.errors import InputError
from src.verbs.screen import Screen
from src.verbs.screen import words as bold_words

console = Screen()
desk_option = click.option(
    "--desk",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("desk"),
    show_default=True,
    help="The desk's folder.",
)
passphrase_option = click.option(
    "--passphrase-file",
    envvar="GLIOMA_PASSPHRASE_FILE",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Read the passphrase from here (mode 0600), not from the keyboard.",
)


@click.group(help=__doc__)
def certify() -> None:
    pass


def passphrase_from(path: Path | None, *, new: bool = False) -> Callable[[], bytes]:
    """Asks once at most. InputError: the file can be read by others."""
    known: list[bytes] = []

    def ask() -> bytes:
        """The passphrase: of the file, else as typed."""
        if not known and path:
            if path.stat().st_mode & 0o077:
                raise InputError(f"{path} can be read by other users: `chmod 600 {path}`.")
            known.append(path.read_bytes().rstrip(b"\n"))
        if not known:
            text = click.prompt("Passphrase", hide_input=True, confirmation_prompt=new)
            known.append(text.encode())
        return known[0]

    return ask


def opened(desk: Path, passphrase_file: Path | None) -> Any:
    """The desk's ceremony."""
    from certs.authority import Authority
    from certs.ceremony import Ceremony
    from src.trust.certificate import utc_now

    return Ceremony(Authority(desk, passphrase_from(passphrase_file), utc_now), utc_now)


def _say_when_due(ceremony: Any) -> None:
    until = ceremony.register.crl_until
    if until:
        console.print(
            f"The revocation list counts until {until[:16].replace('T', ' ')} UTC. Carry a newer "
            "one before: certify revocations",
            soft_wrap=True,
        )


def _next(text: str) -> None:
    console.print(f"Next: {options.python()} -m scripts certify {text}", soft_wrap=True)


@certify.command()
@desk_option
@passphrase_option
@click.option("--federation", required=True, help="Name of the federation, e.g. glioma-2026.")
@click.option(
    "--policy",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Algorithms and lifetimes, instead of certs/policy.yaml.",
)
def init(desk: Path, passphrase_file: Path | None, federation: str, policy: Path | None) -> None:
    """Make the authority: root, signing certificate, desk's certificate; keys encrypted."""
    from certs.authority import Authority
    from certs.policy import POLICY
    from src.trust import fingerprint
    from src.trust.certificate import utc_now

    ask = passphrase_from(passphrase_file, new=True)
    authority = Authority.create(desk, federation, ask, utc_now, policy or POLICY)
    words = fingerprint.words(fingerprint.of_certificate(authority.root))
    console.print(f"Authority: {desk} (keys encrypted; keep it off the network)", soft_wrap=True)
    console.print(bold_words("Words:     ", words), soft_wrap=True)
    _next(f"enrol --desk {quoted(desk)} --aggregator ADDRESS --site NAME --site NAME …")


@certify.command()
@desk_option
@click.option("--aggregator", help="The name under which sites reach the aggregator.")
@click.option("--site", "sites", multiple=True, help="A site's name. Repeatable.")
def enrol(desk: Path, aggregator: str | None, sites: tuple[str, ...]) -> None:
    """Put names and roles into the book; only those get certificates."""
    from src.trust.certificate import AGGREGATOR, SITE

    parties = [(site, SITE) for site in sites]
    if aggregator is not None:
        parties.append((aggregator, AGGREGATOR))
    if not parties:
        raise click.UsageError("Nobody is named: give --site NAME, or --aggregator ADDRESS.")
    opened(desk, None).enrol_all(parties)
    for name, role in parties:
        console.print(f"enrolled: {name} ({role.name})")
    _next(f"issue --desk {quoted(desk)} REQUEST")


@certify.command()
@desk_option
@passphrase_option
@click.argument("request", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--words", help="The words that the sender reads to you; asked for if left out.")
def issue(desk: Path, passphrase_file: Path | None, request: Path, words: str | None) -> None:
    """Check a request and sign it, once its words were read to you by telephone."""
    ceremony = opened(desk, passphrase_file)
    found = ceremony.inspect(request)
    console.print(f"{request}: {found.name} asks for the role {found.role.name}", soft_wrap=True)
    console.print(f"Fingerprint: {found.sha256}", soft_wrap=True)
    heard = words or click.prompt(f"Words that {found.name} reads to you, by telephone")
    for certificate in ceremony.issue(request, heard):
        console.print(
            f"issued: {found.name}, serial number {certificate.serial_number:x}, "
            f"good until {certificate.not_valid_after_utc:%F %H:%M} UTC",
            soft_wrap=True,
        )
    _next(f"issue the other requests, then: certify deliver --desk {quoted(desk)} --out DIR")


@certify.command()
@desk_option
@passphrase_option
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, help="Folder for the packages."
)
@click.option(
    "--workspace",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="The desk's copy of the workspace: its plan decides on keys, its bundle has words.",
)
@click.option("--new-run", is_flag=True, help="The same members start another run.")
def deliver(
    desk: Path, passphrase_file: Path | None, out: Path, workspace: Path | None, new_run: bool
) -> None:
    """Sign the member list; one package for each party."""
    from src.trust import bundle, fingerprint

    ceremony = opened(desk, passphrase_file)
    for package in ceremony.delivery.write_packages(out, workspace=workspace, new_run=new_run):
        console.print(f"  {package}", soft_wrap=True)
    _say_when_due(ceremony)
    keys = ceremony.register.keys
    if workspace and keys:
        console.print(
            f"Keys:      encrypted for each site, erased here at {keys['sealed_and_erased']}"
        )
    root = fingerprint.of_certificate(ceremony.authority.root)
    console.print(bold_words("Authority: ", fingerprint.words(root)), soft_wrap=True)
    if workspace:
        digest = bundle.read(workspace).digest
        console.print(f"Bundle:    {digest}", soft_wrap=True)
        console.print(bold_words("Words:     ", fingerprint.words(digest)), soft_wrap=True)
    console.print("Next: carry each package to its party; read out both rows of words")


@certify.command()
@desk_option
def status(desk: Path) -> None:
    """Every certificate: role, fingerprint, expiry, revoked or not."""
    table = Table("name", "role", "SHA-256", "good until (UTC)", "days", "state", box=None)
    ceremony = opened(desk, None)
    for entry, days, state in ceremony.status():
        colour = {"good": "green", "renew": "yellow"}.get(state, "red")
        table.add_row(
            entry.name,
            entry.role,
            entry.sha256[:16] + "…",
            entry.not_after[:16].replace("T", " "),
            str(days),
            Text(state, colour),
        )
    console.print(table)
    _say_when_due(ceremony)


@certify.command()
@desk_option
@passphrase_option
@click.argument("name")
@click.option("--early", is_flag=True, help="Also before the renewal window.")
def renew(desk: Path, passphrase_file: Path | None, name: str, early: bool) -> None:
    """New certificates for the same keys, where they are due; nothing else is issued anew."""
    renewed = opened(desk, passphrase_file).renew(name, early)
    for certificate in renewed:
        console.print(f"renewed: {name}, good until {certificate.not_valid_after_utc:%F %H:%M} UTC")
    if not renewed:
        console.print(f"{name}: nothing is due (renewal_days in {desk}/policy.yaml).")
    else:
        _next(
            f"deliver --desk {quoted(desk)} --out DIR   (every site approves the new member list)"
        )


@certify.command()
@desk_option
@passphrase_option
@click.argument("name")
@click.option("--reason", default="keyCompromise", show_default=True, help="As in RFC 5280.")
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("revoked.crl"), show_default=True
)
def revoke(desk: Path, passphrase_file: Path | None, name: str, reason: str, out: Path) -> None:
    """Put a party's certificates on the revocation list, and write the list for every party."""
    from src.files import write_atomically

    ceremony = opened(desk, passphrase_file)
    count = ceremony.revoke(name, reason)
    write_atomically(out, ceremony.delivery.revocation_list())
    console.print(f"{name}: {count} certificates revoked. Revocation list: {out}", soft_wrap=True)
    _say_when_due(ceremony)
    console.print(
        f"Next: at the aggregator and every site: python -m src receive {quoted(out.name)}",
        soft_wrap=True,
    )


@certify.command()
@desk_option
@passphrase_option
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("revoked.crl"), show_default=True
)
def revocations(desk: Path, passphrase_file: Path | None, out: Path) -> None:
    """Issue the revocation list anew before it ends; past its end nobody talks to anybody."""
    from src.files import write_atomically

    ceremony = opened(desk, passphrase_file)
    write_atomically(out, ceremony.delivery.revocation_list())
    console.print(f"Revocation list: {out} (number {ceremony.register.crl_number})", soft_wrap=True)
    _say_when_due(ceremony)
    console.print(
        f"Next: at the aggregator, or any party: python -m src receive {quoted(out.name)}",
        soft_wrap=True,
    )


@certify.command()
@desk_option
@click.argument("name")
def dismiss(desk: Path, name: str) -> None:
    """Take a party out of the next member list."""
    opened(desk, None).dismiss(name)
    _next(f"deliver --desk {quoted(desk)} --out DIR")
