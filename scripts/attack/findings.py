"""What an attack found: a JSON file and a figure, in their own folder or in a run's report."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console

from scripts import options
from scripts.numbers import how_measured
from src.verbs.screen import Screen

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DEFAULT_OUT = Path("runs") / "attack"
PIPE_WIDTH = 110  # characters, where the output is no terminal

run = click.option(
    "--run",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="A run of `simulate` on this machine: its report gets a section of the attack.",
)
out = click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    show_default="runs/attack, or the run's report",
    help="Folder for the JSON and the figure.",
)
seed = click.option(
    "--seed", default=0, show_default=True, type=click.IntRange(min=0), help="Of the attack."
)


def console() -> Console:
    """A console that is wide enough for the tables."""
    return Screen(markup=True, width=None if sys.stdout.isatty() else PIPE_WIDTH)


def keep(
    console: Console,
    attack: str,
    found: dict[str, Any],
    figure: "Figure",
    *,
    out: Path | None,
    run: Path | None,
    following: str,
) -> None:
    """Write attack-<name>.json and .png, and print where they lie and what to do next.

    out: the folder; without it they go to the run's report, which is rebuilt with them.
    following: the next command, after `python -m scripts`.
    """
    from scripts.report.page import as_png, write_report
    from src.files import write_atomically

    folder = out or (run / "report" if run else DEFAULT_OUT)
    about = {"attack": attack, **how_measured()}
    path = folder / f"attack-{attack}.json"
    write_atomically(path, json.dumps(about | found, indent=2))
    write_atomically(path.with_suffix(".png"), as_png(figure))
    console.print(f"\nNumbers: {path}", soft_wrap=True)
    console.print(f"Figure:  {path.with_suffix('.png')}", soft_wrap=True)
    if run is not None and out is None:
        console.print(f"Report:  {write_report(run)}", soft_wrap=True)
    console.print(f"Next:    {options.python()} -m scripts {following}", soft_wrap=True)
