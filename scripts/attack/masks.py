"""`attack masks`: have a site encrypt one round twice, in four ways, and forge sums from that."""

from pathlib import Path

import click
from rich.console import Console

from scripts.numbers import json_file, keep_numbers


@click.command()
@json_file
def masks(json_path: Path | None) -> None:
    """Reuse a site's masks: started twice, set back, copied, frozen. One minute."""
    from scripts.attack.mask_attacks import carry_out, show

    console = Console(highlight=False)
    rows = carry_out()
    show(console, rows)
    keep_numbers(console, json_path, [vars(row) for row in rows])
