"""What the verbs of `python -m src` share: the site's name, its workspace, and the screen."""

from pathlib import Path

import click

from src.verbs.screen import Screen

console = Screen()

workspace = click.option(
    "--workspace",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    default=Path(),
    show_default="this folder",
    help="The OpenFL workspace.",
)
name = click.option("-n", "--name", required=True, help="The site's name.")
