"""A rule about training: what it imports is imported, and one step of it is done.

Libraries ask the machine for things when they are first used (an account, a cache, a processor's
instructions); in a run that is at the first batch, after the site has been let in.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from src.errors import InputError
from src.plan import plan as plans
from src.plan.sources import is_here
from src.plan.view import Part
from src.preflight.data import LOADER, data_folder
from src.preflight.finding import Examination, State

PATCHES = 2
LONGEST = 32  # voxels of a patch's edge: the step is to run, not to learn


def training(examination: Examination) -> Iterator[tuple[State, str]]:
    """At a site, cut a batch as the plan's data loader does, and train the plan's network on it."""
    if examination.name is None:
        return
    loader, runner = examination.plan.loader, examination.plan.runner
    named = [part for part in (loader, runner.get("model"), runner.get("loss")) if part]
    foreign = [part["template"] for part in named if not is_here(part["template"])]
    if loader["template"] != LOADER or foreign or len(named) < 3:
        what = ", ".join(foreign) or loader["template"]
        yield "ok", f"not tried: {what} comes with this bundle, or has its own way. Read it"
        return
    place = examination.workspace / "local_state"
    with tempfile.TemporaryDirectory(dir=place if place.is_dir() else None) as cache:
        try:
            images, regions = _batch(examination, Path(cache))
            value = _step(examination, images, regions)
        except (ImportError, KeyError, RuntimeError, AttributeError) as error:
            yield "fail", f"a first batch does not run here: {type(error).__name__}: {error}"
            return
    if not np.isfinite(value):
        yield "fail", f"the loss of a first step is {value}: this machine computes wrongly."
        return
    size = "x".join(map(str, images.shape[2:]))
    yield "ok", f"a batch of {len(images)} patches ({size}) and a step of the network ran"


def _batch(examination: Examination, cache: Path) -> tuple[np.ndarray, np.ndarray]:
    """A batch of one case's patches: images (B, 4, X, Y, Z), regions (B, 3, X, Y, Z)."""
    settings = {**examination.plan.settings("data_loader"), "cache": str(cache)}
    loader: Part = {**examination.plan.loader, "settings": settings}
    site: Any = plans.build(loader, data_path=str(data_folder(examination)))
    del site.train_files[1:]  # each case is prepared before its first patch is cut
    if not site.train_files:
        raise InputError("There is no case to train on.")
    return next(iter(site.training_batches(1, PATCHES, np.random.default_rng(0))))


def _step(examination: Examination, images: np.ndarray, regions: np.ndarray) -> float:
    """The loss on a corner of the patches, once its gradient has been computed as well."""
    import torch  # a second or two

    from src.training.compute import Compute

    corner = (..., *(slice(LONGEST),) * 3)
    plan = examination.plan
    compute = Compute(plan.device, plan.precision)
    with torch.random.fork_rng():
        torch.manual_seed(plan.seed)
        network, loss = plans.build(plan.model), plans.build(plan.loss)
    network.to(compute.device).train()
    with compute.autocast():
        logits = network(compute.tensor(np.ascontiguousarray(images[corner])))
    value = loss(logits.float(), compute.tensor(np.ascontiguousarray(regions[corner])))
    value.backward()
    return float(value.detach())
