"""`doctor`: every rule of the preflight, as a table and an exit code."""

import json
import shlex
import sys
from pathlib import Path

import click

from src.files import write_atomically
from src.verbs import options
from src.verbs.options import console


@click.command()
@click.option("-n", "--name", help="The site's name; omit it at the aggregator.")
@options.workspace
@click.option("--offline", is_flag=True, help="Do not try the connection to the aggregator.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Also write JSON here.")
def doctor(name: str | None, workspace: Path, offline: bool, json_path: Path | None) -> None:
    """Check whether a start here would work and be safe: a table, and exit code 1 if not."""
    from src.preflight.doctor import examine, table

    findings = examine(workspace, name, offline=offline)
    if json_path:
        rows = [finding.__dict__ for finding in findings]
        write_atomically(json_path, json.dumps(rows, indent=1))
    console.print(table(findings))
    failed = [finding for finding in findings if finding.state == "fail"]
    if failed:
        console.print(f"{len(failed)} must be put right before a start.", style="red")
        sys.exit(1)
    start = f"python -m src start -n {shlex.quote(name)}" if name else "python -m src start"
    console.print(f"Ready. Next: {start}", soft_wrap=True)
