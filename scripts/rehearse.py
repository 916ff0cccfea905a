"""`rehearse`: the runbook's own commands, typed on separate hosts of this machine."""

from pathlib import Path

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
def rehearse(
    rounds: int | None,
    changes: tuple[str, ...],
    out: Path | None,
    cases: str,
    rate: str | None,
    loss: float,
    overwrite: bool,
) -> None:
    """Type the runbook on separate hosts: ceremony, run, audit. Needs root, not Docker."""
    from scripts.local.rehearsal import rehearse as work

    work(rounds, changes, out, cases, rate, loss, overwrite)
