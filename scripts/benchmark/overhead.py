"""`benchmark overhead`: what a round costs apart from training, for this kit and for others."""

from typing import Any

import click

from scripts.numbers import json_file


@click.command()
@json_file
@click.option("--peers", is_flag=True, help="Also NVIDIA FLARE and Flower (pip, own environments).")
@click.option("--only", multiple=True, help="Only contenders whose name contains this.")
@click.option("--rounds", default=8, show_default=True, type=click.IntRange(min=3))
@click.option("--timeout", default=420.0, show_default=True, help="Seconds for one contender.")
@click.option("--keep", is_flag=True, help="Keep the work folders.")
def overhead(**chosen: Any) -> None:
    """Seconds, CPU, bytes and memory of a round without training.

    The bytes need a network namespace and therefore root.
    """
    from scripts.benchmark.overhead_study import overhead as work

    work(**chosen)
