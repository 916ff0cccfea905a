"""`privacy`: what a private plan guarantees and costs, before anybody signs it."""

from pathlib import Path

import click

from scripts import options


@click.command()
@click.argument("plan_path", metavar="PLAN", type=click.Path(path_type=Path, dir_okay=False))
@options.rounds
@options.changes
def privacy(plan_path: Path, rounds: int | None, changes: tuple[str, ...]) -> None:
    """What a plan with differential privacy costs: epsilon by round, noise by site size."""
    from scripts.report.plan_privacy import privacy as work

    work(plan_path, rounds, changes)
