"""`start`: verify what was approved, then become `fx … start` of a site or of the aggregator."""

import os
import sys
from pathlib import Path

import click

from src.refusal import errors_end_the_command
from src.verbs import options
from src.verbs.options import console


@click.command()
@click.option("-n", "--name", help="The site's name; omit it at the aggregator.")
@options.workspace
@click.option("--check", is_flag=True, help="Verify, and start nothing.")
def start(name: str | None, workspace: Path, check: bool) -> None:
    """Verify members, approval, every file and the plan; then hand over to `fx … start`."""
    from src.trust import handover

    environment = handover.environment(os.environ)
    if not handover.is_isolated():
        again = handover.isolated(handover.KIT, "src", *sys.argv[1:])
        os.execve(again[0], again, environment)
    with errors_end_the_command(own_codes=True):
        party, removed = handover.verify(workspace, name)
        command = handover.fx(workspace, name)
    if removed:
        console.print(f"Removed:  {removed} compiled copies of the code, unread", soft_wrap=True)
    if workspace.resolve() == handover.KIT:
        console.print(
            "Note:     verified by the bundle's own code, since this folder is the workspace. From "
            "a kit that you trust: python -m src start --workspace …",
            soft_wrap=True,
        )
    console.print(f"Verified: {party.bundle.digest}", soft_wrap=True)
    if check:
        return
    sys.stdout.flush()
    os.chdir(workspace)
    os.execve(command[0], command, environment)
