"""`attack inversion`: a patient's images from one update, in each form in which it is held."""

from typing import Any

import click

from scripts import options
from scripts.attack import findings


@click.command()
@findings.run
@options.plan
@click.option(
    "--iterations", default=200, show_default=True, type=click.IntRange(min=1), help="Of a search."
)
@click.option("--side", default=16, show_default=True, help="Voxels of the patch along each axis.")
@click.option(
    "--noise",
    default="0.001,0.01",
    show_default=True,
    help="Noise multipliers to try beside the private plan's.",
)
@findings.seed
@findings.out
def inversion(**chosen: Any) -> None:
    """Patients' images out of one update: plain, encrypted, private.

    --run takes the run's plan; the patients are synthetic all the same.
    """
    from scripts.attack.inversion_attack import inversion as work

    work(**chosen)
