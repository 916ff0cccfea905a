"""`benchmark private-step`: a private training step beside the plain one and Opacus' hooks."""

from pathlib import Path

import click

from scripts.numbers import json_file

CROPS, BATCH, SIDE = 8, 2, 64


@click.command("private-step")
@click.option("--turns", default=3, show_default=True, type=click.IntRange(min=1))
@click.option("--side", default=SIDE, show_default=True, help="Voxels of a crop along each axis.")
@json_file
def private_step(turns: int, side: int, json_path: Path | None) -> None:
    """CPU seconds and peak memory of a private step, and its ratio to the plain one."""
    from scripts.benchmark.private_step_study import private_step as work

    work(turns, side, json_path)
