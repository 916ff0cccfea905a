"""`pretrain`: initial weights for a plan, from public or synthetic patients.

Differential privacy on a handful of patients learns nothing from random weights; it can adapt a
network that public data have taught. What is trained here is no secret and is counted nowhere.
"""

import io
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from torch import nn

from scripts import options
from scripts.local.workspace import complete_plan
from scripts.partition.phantom_files import write_site
from src.data.phantom_site import site_for
from src.data.public_cases import STREAM
from src.errors import InputError
from src.files import write_atomically
from src.plan import plan as plans
from src.plan.view import Plan
from src.training.compute import Compute
from src.training.fedavg import FedAvg
from src.training.local import LocalTraining
from src.verbs.screen import Screen

ROUNDS = 10  # of falling learning rate
DECAY = 0.8
SIDE_MM = 176.0


def pretrain(
    plan_path: Path,
    data: Path | None,
    kind: str | None,
    seed: int | None,
    changes: tuple[str, ...],
    cases: int,
    hospital: int,
    steps: int,
    learning_rate: float,
    out: Path | None,
) -> None:
    """Initial weights for a plan: `simulate --init FILE`, or `fx plan initialize -i FILE`.

    --data must be public. Without it, synthetic patients are made and thrown away again.
    """

    console = Screen(markup=True)
    plan = complete_plan(plan_path, seed=seed, changes=changes)
    out = out or Path("runs") / "init.pt"
    if out.is_dir():  # told before the training, not after it
        raise InputError(f"{out} is a folder. Name a file, such as {out / 'init.pt'}.")
    with tempfile.TemporaryDirectory() as scratch:
        folder = data or synthetic(Path(scratch) / "public", hospital, cases, seed or 0)
        network = taught(plan, folder, kind, steps, learning_rate, Path(scratch), console)
    save(network, out)
    about = f"{data}" if data else f"{cases} synthetic patients of hospital {hospital}"
    console.print(f"Weights: {out}   ({steps} steps on {about})", soft_wrap=True)
    console.print(
        f"Next:    {options.python()} -m scripts simulate --plan {options.quoted(plan_path)} "
        f"--init {options.quoted(out)}",
        soft_wrap=True,
    )


def synthetic(folder: Path, hospital: int, cases: int, seed: int, size: int = 64) -> Path:
    """Public patients: of a synthetic hospital's style, but of no hospital that `prepare` makes.

    size: voxels along each axis, of 176 mm.
    """

    write_site(
        folder,
        site=site_for(hospital),
        cases=cases,
        seed=STREAM + seed,
        shape=(size, size, size),
        spacing_mm=SIDE_MM / size,
    )
    return folder


def taught(
    plan: dict[str, Any],
    folder: Path,
    kind: str | None,
    steps: int,
    learning_rate: float,
    cache: Path,
    console: Console | None = None,
) -> nn.Module:
    """The plan's network after so many steps on every labelled case of the folder."""

    asked = Plan(plan)
    torch.manual_seed(asked.seed)
    network = plans.build(asked.model)
    compute = Compute(asked.device, asked.precision)
    network.to(compute.device)
    loader = {**asked.settings("data_loader"), "cache": str(cache / "cache"), "kind": kind}
    site = plans.build({**asked.loader, "settings": loader}, data_path=str(folder))
    compute.prove(network, site.get_feature_shape())
    site.train_files += site.validation_files  # public: nobody is held out
    local = LocalTraining(steps=-(-steps // ROUNDS), learning_rate=learning_rate, decay=DECAY)
    rng = np.random.default_rng(asked.seed)
    loss = plans.build(asked.loss)
    quiet = console is None or not console.is_terminal
    for number in track(range(ROUNDS), "pretraining", console=console, disable=quiet):
        local.run(
            network,
            site,
            loss=loss,
            algorithm=FedAvg(),
            compute=compute,
            round_number=number,
            rng=rng,
        )
    return network


def save(network: nn.Module, out: Path) -> None:
    """As `fx plan initialize -i` reads it, whole or not at all."""

    content = io.BytesIO()
    torch.save({"model_state_dict": network.state_dict()}, content)
    write_atomically(out, content.getvalue())
