"""`attack bundles`: hostile bundles, looked at and started."""

import tempfile
from pathlib import Path

import click

from scripts.numbers import json_file, keep_numbers
from src.verbs.screen import Screen


@click.command()
@json_file
def bundles(json_path: Path | None) -> None:
    """Plant commands, code and texts in a bundle; look at it and start it with this kit."""
    from scripts.attack.bundle_attacks import SITE, carry_out, show
    from scripts.attack.honest import approved_site

    console = Screen()
    with tempfile.TemporaryDirectory(prefix="attacks-") as folder:
        console.print("An honest site: ceremony and approval …")
        honest = approved_site(Path(folder), SITE)
        outcomes = show(console, carry_out(honest, Path(folder) / "scratch"))
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
    keep_numbers(console, json_path, rows)
