"""`attack line`: hold the aggregator's line, fill its memory, keep its threads."""

import json
from pathlib import Path

import click
from rich.console import Console


@click.command()
@click.option(
    "--json", "json_path", type=click.Path(path_type=Path), help="Write the figures here."
)
def line(json_path: Path | None) -> None:
    """Attack who is waited for: stock OpenFL 1.9, and this kit."""
    from scripts.attack.line_attacks import against_both, show

    console = Console(highlight=False)
    results = against_both(console)
    show(console, results)
    if json_path:
        json_path.write_text(json.dumps(results, indent=1), encoding="utf-8")
        console.print(f"Figures: {json_path}", soft_wrap=True)
