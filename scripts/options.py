"""The flags that mean the same at every verb."""

import shlex
import shutil
import sys
from pathlib import Path

import click

ROOT = Path(__file__).resolve().parent.parent
DEFAULT_PLAN = ROOT / "plan" / "plan.yaml"

plan = click.option(
    "--plan",
    "plan_path",
    type=click.Path(path_type=Path, dir_okay=False),
    default=DEFAULT_PLAN,
    show_default="plan/plan.yaml",
    help="The plan to run.",
)
data = click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of a data set, or of site folders made by `prepare`.",
)
kind = click.option("--kind", help="Which data set it is: layout and label convention.")
sites = click.option("--sites", type=click.IntRange(min=1), help="Number of sites.")
rounds = click.option("--rounds", type=click.IntRange(min=1), help="Training rounds.")
seed = click.option("--seed", type=click.IntRange(min=0), help="Seed of data, weights, sampling.")
out = click.option(
    "--out", type=click.Path(path_type=Path), help="Folder to make; must not exist yet."
)
changes = click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change the plan, e.g. task_runner.local.learning_rate=0.05. Repeatable.",
)


def python() -> str:
    """How a user calls this interpreter: by its path where its environment is not active."""
    if shutil.which("python") == sys.executable:
        return "python"
    path = Path(sys.executable)
    return quoted(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def quoted(word: object) -> str:
    """A word of a command that is printed to be pasted: a path may hold blanks and ampersands."""
    return shlex.quote(str(word))
