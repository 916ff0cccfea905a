"""`baseline ensemble`: the mean of what the sites' own models say."""

from pathlib import Path

import click

from scripts.baseline import options


@click.command()
@options.run
def ensemble(run: Path) -> None:
    """Score the mean probability of the models that the sites trained alone."""
    from scripts.baseline.study import Study

    Study(run).show_ensemble()
