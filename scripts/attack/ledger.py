"""`attack ledger`: make a site's privacy ledger forget, in six ways, and count what is left."""

import json
from pathlib import Path

import click
from rich.console import Console


@click.command()
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write the rows here.")
def ledger(json_path: Path | None) -> None:
    """Make spent privacy unspent: another folder, an older copy, patients under other names."""
    from scripts.attack.ledger_attacks import carry_out, show

    console = Console(highlight=False)
    rows = carry_out()
    show(console, rows)
    if json_path:
        json_path.write_text(json.dumps([vars(row) for row in rows], indent=1), encoding="utf-8")
        console.print(f"Rows: {json_path}", soft_wrap=True)
