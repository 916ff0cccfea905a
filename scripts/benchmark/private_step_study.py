"""`benchmark private-step`: a private training step beside the plain one and Opacus' hooks.

The lite 3D U-Net trains on random patches, eight crops a turn in batches of two. Every contender
has a process of its own and one thread; they take turns.

plain SGD: one step a batch.
this kit: two crops each of four patients, whose gradients are clipped, summed and noised. this kit,
norms and head: the same for the parameters that plan/dp.yaml trains.
Opacus, hooks: eight records, per-sample gradients by hooks on each layer.
Opacus, functorch: the same by vmap over a functional network.
"""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import torch
from opacus.grad_sample import GradSampleModule
from opacus.optimizers import DPOptimizer
from rich.table import Table

from scripts.benchmark.meter.steps import Steps, peak_mb
from scripts.numbers import keep_numbers
from scripts.options import ROOT
from src.differential_privacy.dp_sgd import private_gradient
from src.errors import RunFailed
from src.model.losses import DiceBCE
from src.model.unet import GliomaUNet
from src.trainable import trainable_names
from src.verbs.screen import Screen

CROPS, BATCH, SIDE = 8, 2, 64
PLAIN, OURS, OURS_PART = "plain SGD", "this kit", "this kit, norms and head"
HOOKS, FUNCTORCH = "Opacus 1.6, hooks", "Opacus 1.6, functorch"
CONTENDERS = (PLAIN, OURS, OURS_PART, HOOKS, FUNCTORCH)
REPEATS = 2  # counted steps in a process, after one that is not


def private_step(turns: int, side: int, json_path: Path | None) -> None:
    """CPU seconds and peak memory of a private step, and its ratio to the plain one."""

    console = Screen(markup=True)
    taken: dict[str, list[dict[str, float]]] = {name: [] for name in CONTENDERS}
    for turn in range(turns):
        for name in CONTENDERS:
            taken[name].append(_turn(name, side))
            figures = taken[name][-1]
            console.print(f"  turn {turn + 1}  {name:<26} {figures['cpu_s']:.2f} CPU-s")
    rows: list[dict[str, Any]] = [
        {"name": name}
        | {key: statistics.median(turn[key] for turn in taken[name]) for key in ("cpu_s", "mb")}
        for name in CONTENDERS
    ]
    plain = rows[0]
    for row in rows:
        row["cpu_vs_plain"] = row["cpu_s"] / plain["cpu_s"]
        row["mb_vs_plain"] = row["mb"] / plain["mb"]
    console.print(table(rows))
    result = {"crops": CROPS, "side": side, "turns": turns, "rows": rows}
    keep_numbers(console, json_path, result)


def _turn(name: str, side: int) -> dict[str, float]:
    """One contender's figures, measured in a process of its own.

    RuntimeError: the process failed; the message holds the end of what it printed.
    """
    one = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}
    words = [sys.executable, "-m", __name__, name, str(side)]
    shown = subprocess.run(
        words, cwd=ROOT, env=os.environ | one, capture_output=True, text=True, check=False
    )
    if shown.returncode:
        raise RunFailed(f"{name}: {shown.stderr[-1500:]}")
    return json.loads(shown.stdout.splitlines()[-1])


def table(rows: list[dict[str, Any]]) -> Table:
    """The rows as a table for the terminal."""
    shown = Table(box=None, pad_edge=False)
    for title in ("eight crops", "CPU-s", "vs plain", "MB above the start", "vs plain"):
        shown.add_column(title, justify="left" if title == "eight crops" else "right")
    for row in rows:
        shown.add_row(
            row["name"],
            f"{row['cpu_s']:.2f}",
            f"{row['cpu_vs_plain']:.2f}",
            f"{row['mb']:.0f}",
            f"{row['mb_vs_plain']:.2f}",
        )
    return shown


# -- in a process of its own ----------------------------------------------------------------------


def measured(name: str, side: int) -> dict[str, float]:
    """CPU seconds of eight crops, and peak memory above what was there before training.

    name: one of CONTENDERS.
    side: voxels of a crop along each axis.

    The first turn in a process is not counted.
    """

    torch.set_num_threads(1)
    work = _work(name, side)
    before = psutil.Process().memory_info().rss / 1e6
    work()
    steps = Steps()
    for _ in range(REPEATS):
        with steps.step("step"):
            work()
    figures = steps.figures["step"]
    return {"cpu_s": figures["cpu_s"], "mb": max(figures["mb"], peak_mb(psutil.Process())) - before}


def _work(name: str, side: int) -> Callable[[], None]:
    """A function that does what the contender does with eight crops.

    All start from the same network, images and labels, which are random.
    """

    torch.manual_seed(0)
    network, loss = GliomaUNet(), DiceBCE()
    images = torch.randn(CROPS, 4, side, side, side)
    regions = (torch.rand(CROPS, 3, side, side, side) > 0.8).float()
    batches = [slice(start, start + BATCH) for start in range(0, CROPS, BATCH)]
    words = ("GroupNorm", "head") if name == OURS_PART else None
    parameters = [p for n, p in network.named_parameters() if n in trainable_names(network, words)]
    optimiser = torch.optim.SGD(parameters, 0.01)

    def plain() -> None:
        """One step of plain SGD for each batch."""
        for rows in batches:
            optimiser.zero_grad()
            loss(network(images[rows]), regions[rows]).backward()
            optimiser.step()

    def ours() -> None:
        """One private step in which each batch is a patient."""
        private_gradient(
            parameters,
            batches,
            lambda rows: torch.autograd.grad(
                loss(network(images[rows]), regions[rows]), parameters
            ),
            clip_norm=1.0,
            noise_multiplier=1.0,
            expected=len(batches),
        )
        optimiser.step()

    if name == PLAIN:
        return plain
    return ours if name in (OURS, OURS_PART) else _opacus(name, network, loss, images, regions)


def _opacus(name: str, network: Any, loss: Any, images: Any, regions: Any) -> Callable[[], None]:
    """A function that takes one private step of Opacus, by hooks or by functorch."""

    wrapped = GradSampleModule(network, force_functorch=name == FUNCTORCH, strict=False)
    optimiser = DPOptimizer(
        torch.optim.SGD(wrapped.parameters(), 0.01),
        noise_multiplier=1.0,
        max_grad_norm=1.0,
        expected_batch_size=CROPS,
    )

    def step() -> None:
        """One step over eight records, whose gradients are gathered in four parts."""
        for start in range(0, CROPS, BATCH):  # a virtual step: gradients are clipped and summed
            rows = slice(start, start + BATCH)
            optimiser.signal_skip_step(do_skip=start + BATCH < CROPS)
            loss(wrapped(images[rows].requires_grad_()), regions[rows]).backward()
            optimiser.step()
            optimiser.zero_grad()

    return step


if __name__ == "__main__":
    print(json.dumps(measured(sys.argv[1], int(sys.argv[2]))))
