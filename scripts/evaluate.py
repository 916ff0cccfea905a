"""`evaluate`: how good a trained model is, case by case, on a run's sites or on other data."""

from pathlib import Path
from typing import Any

import click

from scripts import options


@click.command()
@click.option(
    "--run",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="A finished run: its final model on its sites' validation cases; rebuilds its report.",
)
@click.option("--model", type=click.Path(path_type=Path, dir_okay=False), help="A .pbuf file.")
@click.option(
    "--site",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="A site's workspace, to open an encrypted --model; with --run found by itself.",
)
@options.plan
@options.data
@options.kind
@options.changes
@options.out
def evaluate(**chosen: Any) -> None:
    """Score a trained model: Dice and HD95 per region.

    Either --run, or --model with --data (every labelled case there is scored).
    """
    from scripts.report.evaluation import evaluate as work

    work(**chosen)
