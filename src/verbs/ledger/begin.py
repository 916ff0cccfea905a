"""`ledger begin`: the explicit act without which no first ledger comes into being."""

import shlex
from pathlib import Path

import click

from src.differential_privacy import ledger
from src.trust import ledger_check
from src.trust.gate import SiteGate
from src.verbs import options
from src.verbs.options import console


@click.command()
@options.name
@options.workspace
@click.option("--by", prompt="Who begins it", help="The person who begins the ledger.")
@click.option(
    "--why",
    prompt="Why there is none yet",
    help="Why there is none yet, e.g. 'first private run at this hospital'.",
)
def begin(name: str, workspace: Path, by: str, why: str) -> None:
    """Begin this site's ledgers, once: who, when and why there is none yet stand in its first line.

    Never done to get past a refusal: an absent ledger mostly lies elsewhere.
    """
    gate = SiteGate(str(workspace))
    gate.identify(name)
    folder = ledger.folder()
    ledger_check.refuse_lost(folder, workspace, gate.now())
    taken_over = ledger.begin(folder, name, gate, by=by, why=why)
    console.print(
        f"Begun:  {folder}   (mode 0700; back it up whole, delete it never)", soft_wrap=True
    )
    if taken_over:
        console.print(f"        {taken_over} lines of earlier ledgers were found there, and count.")
    console.print(f"Next:   python -m src doctor -n {shlex.quote(name)}", soft_wrap=True)
