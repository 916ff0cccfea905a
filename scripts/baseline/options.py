"""The flag that all baselines take."""

from pathlib import Path

import click

run = click.option(
    "--run",
    required=True,
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="A run of `simulate`, whose plan and data are taken; its report is rebuilt.",
)
