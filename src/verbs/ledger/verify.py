"""`ledger verify`: chain and signatures of every ledger here, and the audit log beside them."""

from pathlib import Path

import click

from src.differential_privacy.ledger import folder
from src.trust import members
from src.trust.certificate import utc_now
from src.trust.ledger_check import against_peer, check
from src.verbs import options
from src.verbs.options import console


@click.command()
@options.name
@options.workspace
@click.option(
    "--peer",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A copy of another party's audit log, which holds what this site has shown of its ledger.",
)
def verify(name: str, workspace: Path, peer: Path | None) -> None:
    """Find an altered, dropped, reordered or forged line, and a lost or older ledger."""
    members.read(workspace, utc_now()).site(name)
    for state, text in check(folder(), workspace, utc_now()):
        console.print(text, style=None if state == "ok" else "yellow", soft_wrap=True)
    if peer:
        told = against_peer(folder(), peer, name, workspace, utc_now())
        console.print(told, soft_wrap=True)
