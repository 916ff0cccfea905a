"""`prepare`: site folders from a data set, or from nothing (synthetic patients)."""

from typing import Any

import click

from scripts import options
from src.data.kinds import KINDS


@click.command()
@options.data
@click.option("--kind", help=f"Layout and labels: {', '.join(KINDS)}.")
@options.sites
@options.seed
@options.out
@click.option(
    "--partition",
    default="round-robin",
    show_default=True,
    help="round-robin, folder (each folder in --data is a site), a Partition_ID,Subject_ID CSV; or "
    "sites unlike on purpose: volume, grade, age, scanner, quantity:1.5, dirichlet:grade:0.3.",
)
@click.option(
    "--partial", is_flag=True, help="The CSV names more cases than were downloaded: use those here."
)
@click.option("--copy", is_flag=True, help="Copy the cases instead of linking to them.")
@click.option("--skip-bad", is_flag=True, help="Leave refused cases out instead of stopping.")
@click.option(
    "--cases", default="24", show_default=True, help="phantom: patients a site, or 24,16,20."
)
@click.option("--size", default=64, show_default=True, help="phantom: voxels along each axis.")
@click.option("--spacing", default=2.75, show_default=True, help="phantom: voxel edge in mm.")
def prepare(**chosen: Any) -> None:
    """Make site folders from a data set, or of synthetic patients (--kind phantom, no --data).

    Every case is read and checked first. If one is refused, nothing is written.
    """
    from scripts.partition.preparation import prepare as work

    work(**chosen)
