"""`attack membership`: who was trained on? Judged by each patient's loss under the final model."""

from pathlib import Path
from typing import Any

import click

from scripts import options
from scripts.attack import findings


@click.command()
@findings.run
@click.option("--model", type=click.Path(path_type=Path, dir_okay=False), help="A .pbuf file.")
@click.option(
    "--site",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="A site's workspace, to open an encrypted --model; with --run found by itself.",
)
@options.plan
@click.option(
    "--members",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="With --model: a folder of cases that it was trained on, or of site folders.",
)
@click.option(
    "--others",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="With --model: the same sites' cases that it has never seen.",
)
@options.kind
@click.option(
    "--new",
    "count",
    default=32,
    show_default=True,
    type=click.IntRange(min=0),
    help="With --run: synthetic patients to make, a site.",
)
@options.changes
@findings.seed
@findings.out
def membership(**chosen: Any) -> None:
    """Who was trained on? By the loss of a run's final model.

    Either --run, or --model with --members and --others.
    """
    from scripts.attack.membership_attack import membership as work

    work(**chosen)
