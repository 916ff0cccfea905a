"""`approve`: the site's signature under the bundle whose words the desk has read out."""

import shlex
from pathlib import Path

import click

from src.errors import Refused
from src.trust import approval, compiled, fingerprint
from src.trust.gate import SiteGate
from src.verbs import options
from src.verbs.options import console


@click.command()
@options.name
@options.workspace
@click.option(
    "--words", help="The bundle's words, as the desk reads them out; asked for if omitted."
)
def approve(name: str, workspace: Path, words: str | None) -> None:
    """Sign, with the site's key, that exactly this bundle may run here."""
    gate = SiteGate(str(workspace))
    gate.lock.take()  # a process that runs here has read what it approved
    member = gate.identify(name)
    heard = words or click.prompt("The bundle's words, as the desk reads them out")
    digest = gate.bundle.digest
    if not fingerprint.same_words(heard, digest):
        raise Refused(
            f"The bundle in {workspace} has other words: {fingerprint.words(digest)}. It is not "
            "the one that the desk means. Nothing was signed."
        )
    run = gate.members.run
    removed = len(compiled.copies(workspace))
    path = approval.approve(workspace, gate.bundle, run, member, gate.key, gate.now())
    gate.log("approved", site=name, bundle=digest)
    if removed:
        console.print(f"Removed:  {removed} compiled copies of the code, unread")
    console.print(f"Approved: {digest}\nSigned:   {path}", soft_wrap=True)
    console.print(f"Next:     python -m src doctor -n {shlex.quote(name)}", soft_wrap=True)
