"""`workspace`: frame + one plan, unfolded + src = a complete OpenFL workspace for plain `fx`."""

from typing import Any

import click

from scripts import options


@click.command()
@options.plan
@options.rounds
@options.seed
@options.changes
@click.option("--address", default="localhost", show_default=True, help="Aggregator's host name.")
@click.option("--port", type=click.IntRange(1, 65535), help="Aggregator's port.")
@options.out
def workspace(**chosen: Any) -> None:
    """Build an OpenFL workspace from a plan; plain `fx` commands work in it."""
    from scripts.local.workspace import workspace as work

    work(**chosen)
