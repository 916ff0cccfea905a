"""`benchmark overhead`: what a round costs apart from training, for this kit and for others.

It takes one state of 1.2 million values, three sites weighted 5:2:4, real processes and TLS, and
known noise instead of training, so that the final model can be compared with the exact mean.

s/round, CPU s/round: medians from one round's first work to the next one's, over all processes. MB
up, MB down: TCP payload with TLS, of one site in one round.
aggregator MB: the peak memory of its largest process.
start s: from the command to the first work of a site.
max error: of the final model's values.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from scripts.benchmark.meter.contender import Contender
from scripts.benchmark.meter.measure import can_isolate, measured
from scripts.benchmark.meter.workload import SITES, largest_error
from scripts.benchmark.peers.flare import Flare
from scripts.benchmark.peers.flower import Flower
from scripts.benchmark.peers.openfl_contender import OpenFL
from scripts.numbers import how_measured, keep_numbers
from scripts.options import ROOT
from src.errors import InputError, KitError, RunFailed
from src.verbs.screen import Screen

ENVIRONMENTS = ROOT / "runs" / "benchmark" / "environments"
OURS = "this kit, not encrypted"
PIPE_WIDTH = 110  # characters, where the output is no terminal
FAILURES = (KitError, OSError, subprocess.SubprocessError)
COLUMNS = {
    "s_per_round": "s/round",
    "cpu_s_per_round": "CPU s/round",
    "mb_up_per_site_round": "MB up",
    "mb_down_per_site_round": "MB down",
    "server_peak_mb": "aggregator MB",
    "start_s": "start s",
    "largest_error": "max error",
}


def overhead(
    json_path: Path | None,
    peers: bool,
    only: tuple[str, ...],
    rounds: int,
    timeout: float,
    keep: bool,
) -> None:
    """Seconds, CPU, bytes and memory of a round without training.

    The bytes need a network namespace and therefore root.
    """

    console = Screen(markup=True, width=None if sys.stdout.isatty() else PIPE_WIDTH)
    chosen = contenders(peers, only)
    if not can_isolate():
        console.print("Bytes are left out: `unshare -n` is not permitted here; run it as root.")
    rows = [attempt(contender, rounds, timeout, keep, console) for contender in chosen]
    console.print(table(rows))
    console.print(
        "MB are per site and round, TCP payload with TLS; max error against the exact mean."
    )
    keep_numbers(console, json_path, result(rows))
    if any("failed" in row for row in rows):
        sys.exit(1)


def attempt(
    contender: Contender, rounds: int, timeout_s: float, keep: bool, console: Console
) -> dict[str, Any]:
    """Measure one contender, and return its row.

    rounds: how many it runs.
    timeout_s: after that it counts as failed.
    keep: whether its folder stays.
    If it does not finish, the row has the key `failed`, its folder stays, and the others go on.
    """
    work = Path(tempfile.mkdtemp(prefix="overhead-"))
    try:
        row = run(contender, work, rounds, timeout_s, console)
        console.print(f"{contender.name}: {row['s_per_round']} s a round")
    except FAILURES as error:
        keep, said = True, getattr(error, "stderr", None) or b""
        why = f"{error}\n{said.decode(errors='replace')[-1500:]}".strip()
        row = {"name": contender.name, "failed": why, "logs": str(work)}
        console.print(f"{contender.name}: failed, its logs are in {work}: {why}", markup=False)
    finally:
        if not keep:
            shutil.rmtree(work, ignore_errors=True)
    return row


def contenders(peers: bool, only: tuple[str, ...]) -> list[Contender]:
    """The contenders to measure, this kit first.

    peers: whether NVIDIA FLARE and Flower take part.
    only: parts of names; empty for all.
    InputError: `only` leaves none.
    """

    found: list[Contender] = [OpenFL(stock=False, encrypted=True), OpenFL(stock=False)]
    found.append(OpenFL(stock=True))
    found.append(OpenFL(stock=True, fast=True))
    if peers:
        found += [Flare(ENVIRONMENTS, fast=False), Flare(ENVIRONMENTS, fast=True)]
        found += [Flower(ENVIRONMENTS)]
    chosen = [c for c in found if not only or any(word in c.name for word in only)]
    if not chosen:
        raise InputError(f"--only {only}: there are {', '.join(c.name for c in found)}.")
    return chosen


def run(
    contender: Contender, work: Path, rounds: int, timeout_s: float, console: Console
) -> dict[str, Any]:
    """Prepare one contender, measure it, and compare its final model with the exact mean.

    work: an empty folder, in which the logs lie afterwards.
    RunFailed: not all rounds were run; the message holds the end of the log.
    """

    events = work / "events.jsonl"
    with console.status(f"{contender.name}: preparing") as status:
        command = contender.prepare(work, rounds)

        def watch() -> None:
            done = (
                events.read_text(encoding="utf-8").count("\n") // SITES if events.is_file() else 0
            )
            status.update(f"{contender.name}: {done} of {rounds} rounds")

        row = measured(
            command,
            events=events,
            server=contender.server,
            endpoint=contender.endpoint,
            timeout_s=timeout_s,
            log=work / "measure.log",
            environment=contender.environment(work),
            watch=watch,
        )
    if row["exit_code"] != 0 or row.get("rounds") != rounds:
        log = (work / "measure.log").read_text(errors="replace", encoding="utf-8")[-1500:]
        raise RunFailed(
            f"{row.get('rounds', 'fewer than 3')} of {rounds} rounds, exit code "
            f"{row['exit_code']} after {row['wall_s']} s (124: longer than --timeout).\n{log}"
        )
    if row.get("packets_lost"):
        console.print(f"{contender.name}: {row['packets_lost']} packets lost, bytes are too few")
    row["largest_error"] = largest_error(contender.final_model(work), rounds)
    return {"name": contender.name} | row


def table(rows: list[dict[str, Any]]) -> Table:
    """The rows as a table with units."""
    shown = Table(box=None, pad_edge=False)
    shown.add_column("framework", no_wrap=True)
    for title in COLUMNS.values():
        shown.add_column(title, justify="right")
    for row in rows:
        cells = [row.get(key) for key in COLUMNS]
        shown.add_row(row["name"], *("–" if cell is None else f"{cell:.3g}" for cell in cells))
    return shown


def result(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The content of the JSON file. Ratios are the others' figures over this kit's."""
    ours = next((row for row in rows if row["name"] == OURS), {})
    ratios = {
        f"{row['name']}: {key}": round(row[key] / ours[key], 2)
        for row in rows
        for key in ("s_per_round", "cpu_s_per_round")
        if row is not ours and ours.get(key) and row.get(key)
    }
    return {"benchmark": "overhead", **how_measured(), "rows": rows, "ratios": ratios}
