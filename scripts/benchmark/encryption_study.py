"""`benchmark encryption`: one round of encrypted updates, beside NVIDIA FLARE's and plain float32.

It takes a 3D U-Net of 4.8 million values and four sites with unequal numbers of cases; there is
neither network nor training. The contenders take turns, each in a process of its own that does
every party's work step by step:

seal: a site encodes, encrypts and saves its update.
add: the aggregator checks one update and adds it.
finish: the aggregator makes the message with the sum.
open: a site checks the sum, decrypts and decodes it.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.networks.nets import UNet
from rich.table import Table

from scripts.benchmark.meter.contender import METER_FOLDER, PEER_FOLDER, ROOT, own_environment
from scripts.numbers import how_measured, keep_numbers
from src.errors import RunFailed
from src.verbs.screen import Screen

FLARE = ["nvflare[HE]==2.9.0"]
ENVIRONMENTS = ROOT / "runs" / "benchmark" / "environments"
CASES = (50, 20, 40, 30)
CHANGE = 1e-3  # standard deviation of what a site's training changes
WIDTHS = "16,32,64,128,256"
PIPE_WIDTH = 110  # characters, where the output is no terminal
OURS = {"this kit, 24 bit": "24", "this kit, 16 bit": "16"}
PEERS = {"NVIDIA FLARE 2.9": "shipped", "NVIDIA FLARE 2.9, one context": "once"}
PLAIN = "plain float32"
STEPS = {
    "seal": "seal (a site)",
    "add": "add (aggregator, an update)",
    "finish": "finish (aggregator)",
    "open": "open (a site)",
}


@dataclass(frozen=True)
class Contender:
    """One way to send a round's updates.

    name: as it stands in the table.
    command: its process; the work's folder is appended.
    how: the last word of the command, which chooses the variant.
    """

    name: str
    command: list[str]
    how: str

    def run(self, folder: Path) -> dict[str, Any]:
        """Take one turn, and return its figures.

        up, down: bytes of one update and of the sum.
        steps: of each step its mean seconds, its mean CPU seconds and its highest memory.
        max_error: the largest difference of the mean from the exact one.
        RuntimeError: the process failed; the message holds the end of what it printed.
        """

        words = [*self.command, str(folder), self.how]
        one = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(folder)}
        shown = subprocess.run(
            words, cwd=ROOT, env=os.environ | one, capture_output=True, text=True, check=False
        )
        if shown.returncode:
            raise RunFailed(f"{self.name}: {shown.stderr[-1500:]}")
        result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
        error = np.abs(np.load(folder / "mean.npy") - np.load(folder / "expected.npy")).max()
        shutil.rmtree(folder / "ours", ignore_errors=True)
        return result | {"max_error": float(error)}


def encryption(json_path: Path | None, repeats: int, alone: bool, widths: str) -> None:
    """Bytes, seconds, memory and error of encrypted updates.

    NVIDIA FLARE is installed by pip into an environment of its own on first use.
    """
    console = Screen(markup=True, width=None if sys.stdout.isatty() else PIPE_WIDTH)
    folder = Path(tempfile.mkdtemp(prefix="encryption-"))
    try:
        values = write_work(folder, [int(width) for width in widths.split(",")])
        console.print(f"A 3D U-Net of {values:,} values, {len(CASES)} sites; {repeats} turns each.")
        turns: dict[str, list[dict[str, Any]]] = {}
        chosen = contenders(alone)
        for turn in range(repeats):
            for contender in chosen:
                with console.status(f"turn {turn + 1}: {contender.name}"):
                    turns.setdefault(contender.name, []).append(contender.run(folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    rows = [row(name, found, values) for name, found in turns.items()]
    found = ratios(rows)
    console.print(table(rows))
    console.print(
        "up, down: bytes a value. Seconds are medians, wall time for a million values. MB: most "
        "memory of the processes at work. max error: of the weighted mean."
    )
    for name, ratio in found.items():
        console.print(f"  {name:<48}{ratio:8.3f}")
    measured = {"benchmark": "encryption", **how_measured()}
    content = measured | {"values": values, "rows": rows, "ratios": found}
    keep_numbers(console, json_path, content)


def contenders(alone: bool) -> list[Contender]:
    """All contenders, this kit first.

    alone: leave NVIDIA FLARE out, which needs an environment of its own.
    """
    module = [sys.executable, "-m", "scripts.benchmark."]
    ours = [*module[:2], module[2] + "encryption_ours"]
    found = [Contender(name, ours, bits) for name, bits in OURS.items()]
    found.append(Contender(PLAIN, [*module[:2], module[2] + "encryption_plain"], "float32"))
    if not alone:
        python = own_environment("nvflare-he", FLARE, ENVIRONMENTS)
        script = [str(python), str(PEER_FOLDER / "flare_encryption.py")]
        found += [Contender(name, script, how) for name, how in PEERS.items()]
    return found


def write_work(folder: Path, widths: list[int]) -> int:
    """Write the models of all sites and their exact mean; return how many values a model has.

    widths: the channels of the U-Net's levels.
    """

    torch.manual_seed(0)
    net = UNet(3, 4, 3, widths, [2] * (len(widths) - 1), num_res_units=2)
    tensors = [tensor.numpy() for tensor in net.state_dict().values()]
    initial = np.concatenate([tensor.ravel() for tensor in tensors]).astype(np.float32)
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((len(CASES), initial.size), dtype=np.float32)
    models = initial + np.float32(CHANGE) * noise
    weights = np.array(CASES) / sum(CASES)
    np.save(folder / "initial.npy", initial)
    np.save(folder / "models.npy", models)
    np.save(folder / "expected.npy", weights @ models.astype(np.float64))
    work = {"cases": CASES, "shapes": [tensor.shape for tensor in tensors]}
    (folder / "work.json").write_text(json.dumps(work), encoding="utf-8")
    shutil.copy2(METER_FOLDER / "steps.py", folder)  # for the other environments
    return initial.size


def row(name: str, turns: list[dict[str, Any]], values: int) -> dict[str, Any]:
    """One contender's row of the table: medians over its turns, seconds for a million values.

    up_bytes_per_value, down_bytes_per_value: of an update and of the sum. <step>_s, <step>_cpu_s,
        <step>_mb: of each of STEPS.
    aggregator_s, aggregator_cpu_s: adding all sites' updates, and finishing the sum.
    max_error: the largest of all turns.
    """
    figures: dict[str, Any] = {
        "name": name,
        "up_bytes_per_value": turns[0]["up"] / values,
        "down_bytes_per_value": turns[0]["down"] / values,
        "max_error": max(turn["max_error"] for turn in turns),
    }
    for step in STEPS:
        for unit in ("s", "cpu_s"):
            median = statistics.median(turn["steps"][step][unit] for turn in turns)
            figures[f"{step}_{unit}"] = median / values * 1e6
        figures[f"{step}_mb"] = max(turn["steps"][step]["mb"] for turn in turns)
    sites = len(CASES)
    for unit in ("s", "cpu_s"):
        figures[f"aggregator_{unit}"] = sites * figures[f"add_{unit}"] + figures[f"finish_{unit}"]
    return figures


def ratios(rows: list[dict[str, Any]]) -> dict[str, float]:
    """This kit's bytes over plain float32's, and each peer's figures over this kit's."""
    by_name = {found["name"]: found for found in rows}
    plain = by_name[PLAIN]
    found = {}
    for name, bits in OURS.items():
        ours = by_name[name]
        for key, word in (("up", "upload"), ("down", "download")):
            bytes_ = f"{key}_bytes_per_value"
            found[f"{word}_{bits}bit_vs_plain_float32"] = ours[bytes_] / plain[bytes_]
        for peer, how in PEERS.items():
            if peer not in by_name:
                continue
            theirs, prefix = by_name[peer], "flare" if how == "shipped" else "flare_one_context"
            for word, key in (
                ("upload", "up_bytes_per_value"),
                ("download", "down_bytes_per_value"),
                ("client", "seal_s"),
                ("client_cpu", "seal_cpu_s"),
                ("aggregator", "aggregator_s"),
                ("aggregator_cpu", "aggregator_cpu_s"),
                ("open", "open_s"),
            ):
                if ours[key]:  # a clock tick is 10 ms of CPU
                    found[f"{prefix}_{word}_vs_ours_{bits}bit"] = theirs[key] / ours[key]
    return found


def table(rows: list[dict[str, Any]]) -> Table:
    """The rows as a table with units."""
    shown = Table(box=None, pad_edge=False)
    shown.add_column("", no_wrap=True)
    for found in rows:
        shown.add_column(found["name"], justify="right")
    lines = {"up": "up_bytes_per_value", "down": "down_bytes_per_value"}
    lines |= {f"{title}, s": f"{step}_s" for step, title in STEPS.items()}
    lines |= {f"{title}, CPU-s": f"{step}_cpu_s" for step, title in STEPS.items()}
    lines |= {f"{title}, MB": f"{step}_mb" for step, title in STEPS.items()}
    lines |= {"max error": "max_error"}
    for title, key in lines.items():
        shown.add_row(title, *(f"{found[key]:.3g}" for found in rows))
    return shown
