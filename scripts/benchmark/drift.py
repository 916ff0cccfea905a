"""`benchmark drift`: how far unlike sites draw the shared model from the best one, by algorithm."""

from pathlib import Path

import click

from scripts.numbers import json_file


@click.command()
@click.option("--rounds", default=60, show_default=True, type=click.IntRange(min=1))
@click.option("--steps", default=20, show_default=True, help="A site takes in a round.")
@click.option("--seed", default=0, show_default=True, help="Of the four sites.")
@json_file
@click.option("--figure", type=click.Path(path_type=Path), help="Excess loss by round, as PNG.")
def drift(rounds: int, steps: int, seed: int, json_path: Path | None, figure: Path | None) -> None:
    """Excess loss over the pooled optimum, on a toy whose optimum is known."""
    from scripts.benchmark.drift_study import drift as work

    work(rounds, steps, seed, json_path, figure)
