"""`attack identity`: carry out each attack on who may speak and on what runs."""

import json
from pathlib import Path

import click

from src.verbs.screen import Screen


@click.command()
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write the rows here.")
def identity(json_path: Path | None) -> None:
    """Attack identity and approval: stock OpenFL 1.9, and this kit."""
    from scripts.attack.identity_attacks import against_both, show

    console = Screen(markup=True)
    results = against_both(console)
    show(console, results)
    if json_path:
        json_path.write_text(json.dumps(results, indent=1), encoding="utf-8")
        console.print(f"Rows: {json_path}", soft_wrap=True)
