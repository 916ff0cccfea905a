"""What a benchmark or an attack has measured, kept as JSON where `--json` names a file."""

import json
import os
import platform
import shlex
import sys
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from src.files import write_atomically

json_file = click.option(
    "--json",
    "json_path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the numbers here, too.",
)


def how_measured() -> dict[str, str]:
    """The command that was typed, and the machine, without its name."""
    return {
        "command": "python -m scripts " + shlex.join(sys.argv[1:]),
        "machine": f"{platform.platform()}, Python {platform.python_version()}, "
        f"{len(os.sched_getaffinity(0))} cores",
    }


def keep_numbers(console: Console, json_path: Path | None, content: Any) -> None:
    """Write `content` to the file that was named, whole or not at all, and say where it lies."""
    if json_path is not None:
        write_atomically(json_path, json.dumps(content, indent=1))
        console.print(f"Numbers: {json_path}", soft_wrap=True)
