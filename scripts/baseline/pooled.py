"""`baseline pooled`: all training cases in one place."""

from pathlib import Path

import click

from scripts.baseline import options


@click.command()
@options.run
def pooled(run: Path) -> None:
    """Train one model on all sites' training cases, with as many steps as all sites took."""
    from scripts.baseline.study import Study

    Study(run).show_pooled()
