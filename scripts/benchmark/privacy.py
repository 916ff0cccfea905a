"""`benchmark privacy`: what privacy per patient costs in Dice, and what it denies an attacker."""

from pathlib import Path

import click

from scripts import options
from scripts.numbers import json_file
from scripts.options import ROOT


@click.command()
@click.option(
    "--plan",
    "plan_path",
    type=click.Path(path_type=Path, dir_okay=False),
    default=ROOT / "plan" / "dp.yaml",
    show_default="plan/dp.yaml",
)
@click.option("--epsilons", default="1,3,8,inf", show_default=True, help="inf: without noise.")
@click.option("--seeds", default=3, show_default=True, type=click.IntRange(min=2))
@click.option("--patients", default=24, show_default=True, help="Who train, a hospital.")
@click.option("--others", default=20, show_default=True, help="Who test, a hospital.")
@click.option("--size", default=64, show_default=True, help="Voxels along each axis.")
@click.option("--pretraining", default=400, show_default=True, help="Steps on public patients.")
@options.changes
@json_file
@click.option("--figure", type=click.Path(path_type=Path), help="Dice against epsilon, as PNG.")
def privacy(
    plan_path: Path,
    epsilons: str,
    seeds: int,
    patients: int,
    others: int,
    size: int,
    pretraining: int,
    changes: tuple[str, ...],
    json_path: Path | None,
    figure: Path | None,
) -> None:
    """Dice and membership inference against epsilon, with the spread over seeds.

    It takes an hour on two cores with the default sizes.
    """
    from scripts.benchmark.privacy_study import privacy as work

    sizes = (patients, others, size, pretraining)
    work(plan_path, epsilons, seeds, *sizes, changes, json_path, figure)
