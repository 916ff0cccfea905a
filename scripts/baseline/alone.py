"""`baseline alone`: each site trains by itself."""

from pathlib import Path

import click

from scripts.baseline import options


@click.command()
@options.run
def alone(run: Path) -> None:
    """Train each site's own model, and score every one of them at every site."""
    from scripts.baseline.study import Study

    Study(run).show_alone()
