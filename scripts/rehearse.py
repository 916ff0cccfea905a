"""`rehearse`: the runbook's own commands, typed on separate hosts of this machine."""

from typing import Any

import click

from scripts import options


@click.command()
@options.rounds
@options.changes
@options.out
@click.option("--cases", default="24", show_default=True, help="Synthetic patients a site.")
@click.option("--rate", help="Make the sites' lines slow: 4mbit.")
@click.option("--loss", default=0.0, help="With --rate: share of packets lost, e.g. 0.01.")
@click.option("--overwrite", is_flag=True, help="Replace an earlier rehearsal in --out.")
def rehearse(**chosen: Any) -> None:
    """Type the runbook on separate hosts: ceremony, run, audit. Needs root, not Docker."""
    from scripts.local.rehearsal import rehearse as work

    work(**chosen)
