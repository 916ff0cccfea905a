"""`attack ledger`: make a site's privacy ledger forget, in six ways, and count what is left."""

from pathlib import Path

import click
from rich.console import Console

from scripts.numbers import json_file, keep_numbers


@click.command()
@json_file
def ledger(json_path: Path | None) -> None:
    """Make spent privacy unspent: another folder, an older copy, patients under other names."""
    from scripts.attack.ledger_attacks import carry_out, show

    console = Console(highlight=False)
    rows = carry_out()
    show(console, rows)
    keep_numbers(console, json_path, [vars(row) for row in rows])
