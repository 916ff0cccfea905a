"""`benchmark encryption`: one round of encrypted updates, beside NVIDIA FLARE's and plain ones."""

from typing import Any

import click

from scripts.numbers import json_file

FLARE = ["nvflare[HE]==2.9.0"]
WIDTHS = "16,32,64,128,256"


@click.command()
@json_file
@click.option("--repeats", default=3, show_default=True, type=click.IntRange(min=1))
@click.option("--alone", is_flag=True, help="Without NVIDIA FLARE (pip, an own environment).")
@click.option("--widths", default=WIDTHS, show_default=True, help="Channels of the U-Net's levels.")
def encryption(**chosen: Any) -> None:
    """Bytes, seconds, memory and error of encrypted updates.

    NVIDIA FLARE is installed by pip into an environment of its own on first use.
    """
    from scripts.benchmark.encryption_study import encryption as work

    work(**chosen)
