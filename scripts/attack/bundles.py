"""`attack bundles`: hostile bundles, looked at and started."""

import json
import tempfile
from pathlib import Path

import click

from src.verbs.screen import Screen


@click.command()
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write the rows here.")
def bundles(json_path: Path | None) -> None:
    """Plant commands, code and texts in a bundle; look at it and start it with this kit."""
    from scripts.attack.bundle_attacks import SITE, carry_out, show
    from scripts.attack.honest import approved_site

    console = Screen()
    with tempfile.TemporaryDirectory(prefix="attacks-") as folder:
        console.print("An honest site: ceremony and approval …")
        honest = approved_site(Path(folder), SITE)
        outcomes = show(console, carry_out(honest, Path(folder) / "scratch"))
    if json_path:
        rows = [
            {
                "bundle": outcome.bundle.name,
                "looked": outcome.looked,
                "ran": outcome.ran,
                "shown": outcome.shown,
                "refused": outcome.refused,
                "alive": outcome.alive,
            }
            for outcome in outcomes
        ]
        json_path.write_text(json.dumps(rows, indent=1), encoding="utf-8")
        console.print(f"Rows: {json_path}", soft_wrap=True)
