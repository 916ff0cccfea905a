"""`attack identity`: carry out each attack on who may speak and on what runs."""

from pathlib import Path

import click

from scripts.numbers import json_file, keep_numbers
from src.verbs.screen import Screen


@click.command()
@json_file
def identity(json_path: Path | None) -> None:
    """Attack identity and approval: stock OpenFL 1.9, and this kit."""
    from scripts.attack.identity_attacks import ATTACKS, carry_out, show
    from scripts.attack.targets import against_both

    console = Screen(markup=True)
    results = against_both(console, len(ATTACKS), carry_out)
    show(console, results)
    keep_numbers(console, json_path, results)
