"""`ledger verify`: chain and signatures of every ledger here, and the audit log beside them."""

from pathlib import Path

import click

from src.differential_privacy.ledger import folder
from src.trust import members
from src.trust.certificate import utc_now
from src.trust.ledger_check import check
from src.verbs import options
from src.verbs.options import console


@click.command()
@options.name
@options.workspace
def verify(name: str, workspace: Path) -> None:
    """Find an altered, dropped, reordered or forged line, and a lost ledger."""
    members.read(workspace, utc_now()).site(name)
    for state, text in check(folder(), workspace, utc_now()):
        console.print(text, style=None if state == "ok" else "yellow", soft_wrap=True)
