"""`simulate`: a whole federation on this machine, from data to report."""

from pathlib import Path
from typing import Any

import click

from scripts import options


@click.command()
@options.plan
@options.data
@options.kind
@options.sites
@options.rounds
@options.seed
@options.changes
@options.out
@click.option(
    "--cases", default="24", show_default=True, help="Synthetic patients a site: 24 or 24,16,20."
)
@click.option(
    "--init",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Initial weights, as `pretrain` makes them; without it they are random.",
)
@click.option(
    "--timeout", default=3600.0, show_default=True, help="Seconds after which to give up."
)
@click.option("--overwrite", is_flag=True, help="Replace an earlier run in --out.")
def simulate(**chosen: Any) -> None:
    """Run a whole federation on this machine, from data to report.

    Without --data it makes synthetic patients.
    """
    from scripts.local.simulation import simulate as work

    work(**chosen)
