"""`attack line`: hold the aggregator's line, fill its memory, keep its threads."""

from pathlib import Path

import click
from rich.console import Console

from scripts.numbers import json_file, keep_numbers


@click.command()
@json_file
def line(json_path: Path | None) -> None:
    """Attack who is waited for: stock OpenFL 1.9, and this kit."""
    from scripts.attack.line_attacks import ATTACKS, carry_out, show
    from scripts.attack.targets import against_both

    console = Console(highlight=False)
    results = against_both(console, len(ATTACKS), carry_out, "plain.yaml")
    show(console, results)
    keep_numbers(console, json_path, results)
