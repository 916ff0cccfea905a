"""`audit verify`: one party's log, or a site's against the aggregator's."""

from pathlib import Path

import click

from src.trust.audit import FILE
from src.trust.audit_check import check
from src.verbs import options
from src.verbs.options import console


@click.command()
@click.argument("log", type=click.Path(path_type=Path), required=False)
@click.option("--against", type=click.Path(path_type=Path), help="The other party's log.")
@options.workspace
def verify(log: Path | None, against: Path | None, workspace: Path) -> None:
    """Find an altered, dropped or reordered line; compare a site's log with the aggregator's."""
    for line in check(log or workspace / FILE, against, workspace):
        console.print(line, soft_wrap=True)
