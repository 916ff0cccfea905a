"""`attack masks`: have a site encrypt one round twice, in four ways, and forge sums from that."""

import json
from pathlib import Path

import click
from rich.console import Console


@click.command()
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write the rows here.")
def masks(json_path: Path | None) -> None:
    """Reuse a site's masks: started twice, set back, copied, frozen. One minute."""
    from scripts.attack.mask_attacks import carry_out, show

    console = Console(highlight=False)
    rows = carry_out()
    show(console, rows)
    if json_path:
        json_path.write_text(json.dumps([vars(row) for row in rows], indent=1), encoding="utf-8")
        console.print(f"Rows: {json_path}", soft_wrap=True)
