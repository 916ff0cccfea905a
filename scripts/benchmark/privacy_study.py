"""`benchmark privacy`: what privacy per patient costs in Dice, and what it denies an attacker.

Synthetic hospitals together adapt one pretrained network, with the training of `plan/dp.yaml` at
several epsilons, without noise, and without privacy. The rounds are averaged in this process:
encryption and OpenFL change nothing of what is learnt. Each seed has other patients.

pretrained only: the network before the federation, from one hospital's style of images. epsilon …:
the plan's training with the noise that this epsilon demands. no noise: the same training, clipped
and sampled, with noise of zero.
not private, all parameters: plain SGD on the whole network, for what privacy forgoes.

The attack is membership inference by the loss: members are the training patients, others are test
patients of the same hospital.
"""

import copy
import math
import os
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console

from scripts.attack.membership_inference import losses
from scripts.benchmark.privacy_results import CELLS, PLAIN, PRETRAINED, drawn, summaries, table
from scripts.local.pretraining import SIDE_MM, save, synthetic, taught
from scripts.local.workspace import complete_plan
from scripts.numbers import how_measured, keep_numbers
from scripts.partition.phantom_files import write_site
from src.data.phantom_site import site_for
from src.differential_privacy.dp_sgd import PatientDPSGD
from src.files import write_atomically
from src.plan import plan as plans
from src.plan.view import Plan
from src.training.compute import Compute
from src.training.fedavg import FedAvg
from src.training.local import LocalTraining
from src.verbs.screen import Screen

PUBLIC, PRIVATE = 0, (1, 2, 3)  # hospitals: whose style is public, and who adapts
PLAIN_STEPS = 40  # a round, of the last row: enough to fit the patients that it sees
PROCESSES = 2


def privacy(
    plan_path: Path,
    epsilons: str,
    seeds: int,
    patients: int,
    others: int,
    size: int,
    pretraining: int,
    changes: tuple[str, ...],
    json_path: Path | None,
    figure: Path | None,
) -> None:
    """Dice and membership inference against epsilon, with the spread over seeds.

    It takes an hour on two cores with the default sizes.
    """

    console = Screen(markup=True)
    plan = complete_plan(plan_path, changes=changes)
    levels = [float(word) for word in epsilons.split(",")]
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        study = Study(plan, Path(scratch), patients, others, size, pretraining)
        runs = study.runs(range(seeds), levels, console)
    rows = summaries(runs)
    result = {
        **how_measured(),
        "seconds": round(time.monotonic() - began),
        "plan": Plan(plan).local["settings"],
        "rounds": Plan(plan).rounds,
        "patients": patients,
        "others": others,
        "rows": rows,
        "runs": runs,
    }
    console.print(table(rows))
    console.print(
        f"{result['seconds']} s. Synthetic patients; spread: standard deviation of seeds."
    )
    keep_numbers(console, json_path, result)
    if figure:
        write_atomically(figure, drawn(rows))
        console.print(f"Figure:  {figure}")


@dataclass(frozen=True)
class Study:
    """One study: its plan and its sizes.

    plan: a private one.
    scratch: a folder for cases and weights.
    patients: how many train at each hospital.
    others: how many test at each hospital.
    size: voxels of their images along each axis.
    pretraining: steps.
    """

    plan: dict[str, Any]
    scratch: Path
    patients: int
    others: int
    size: int
    pretraining: int

    def runs(
        self, seeds: Sequence[int], levels: Sequence[float], console: Console
    ) -> list[dict[str, Any]]:
        """Run every seed: its pretrained network, every level, and training without privacy.

        The result has one record for each, as `_scored` makes it.
        """
        one = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        os.environ.update(one)  # of the processes that start now
        found = []
        with ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn")) as pool:
            for job in [pool.submit(self.prepare, seed) for seed in seeds]:
                found.append(job.result())
            jobs = [
                pool.submit(self.adapt, seed, level) for seed in seeds for level in (*levels, None)
            ]
            for job in jobs:
                found.append(job.result())
                last = found[-1]
                console.print(
                    f"  seed {last['seed']}  {last['name']:<28} {last['dice']['mean']:.3f}"
                )
        return found

    def prepare(self, seed: int) -> dict[str, Any]:
        """Make a seed's cases and its pretrained weights, and return how good these are.

        They lie in a folder of the seed's, from which `adapt` takes them.
        """

        home = self.scratch / f"seed-{seed}"
        public = synthetic(home / "public", PUBLIC, self.patients, seed, self.size)
        self._patients(home, seed)
        plan = _with_seed(self.plan, seed)
        network = taught(plan, public, None, self.pretraining, 0.05, home)
        save(network, home / "init.pt")
        return self._scored(network, seed, PRETRAINED)

    def adapt(self, seed: int, level: float | None) -> dict[str, Any]:
        """One federated run from the pretrained weights, averaged in this process.

        level: an epsilon; inf for clipping without noise, None for no privacy at all. The result is
            a record as `_scored` makes it, with the level and the noise multiplier.
        """

        torch.set_num_threads(1)
        plan = Plan(self.plan)
        network, loss = plans.build(plan.model), plans.build(plan.loss)
        start = torch.load(self.scratch / f"seed-{seed}" / "init.pt", weights_only=True)
        network.load_state_dict(start["model_state_dict"])
        local: PatientDPSGD = plans.build(plan.local)
        how: dict[str, Any] = {}
        name = PLAIN
        plain = LocalTraining(steps=PLAIN_STEPS, learning_rate=0.05, decay=0.9)
        if level is not None:
            name = "no noise" if math.isinf(level) else f"epsilon {level:g}"
            noise = 0.0
            if not math.isinf(level):
                private = replace(local, epsilon=level, budget=None)
                noise = private.a_round(plan.rounds).noise_multiplier
            how = {"noise_multiplier": noise}
        sites = [self._site(seed, hospital, "train") for hospital in PRIVATE]
        compute = Compute("cpu")
        compute.prove(network, sites[0].get_feature_shape())
        rng = np.random.default_rng(seed)
        for number in range(plan.rounds):
            trained = []
            for site in sites:
                own = copy.deepcopy(network)
                part: Any = local if level is not None else plain
                train = part.train if level is not None else part.run
                more = how if level is not None else {"rng": rng}
                train(
                    own,
                    site,
                    loss=loss,
                    algorithm=FedAvg(),
                    compute=compute,
                    round_number=number,
                    **more,
                )
                trained.append(own.state_dict())
            mean = {k: torch.stack([t[k] for t in trained]).mean(0) for k in trained[0]}
            network.load_state_dict(mean)
        return self._scored(network, seed, name) | {"epsilon": level} | how

    def _patients(self, home: Path, seed: int) -> None:
        """Make each hospital's synthetic patients: those who train, and others who test."""

        for hospital in PRIVATE:
            for part, cases, start in (("train", self.patients, 0), ("test", self.others, 10_000)):
                write_site(
                    home / f"{part}-{hospital}",
                    site=site_for(hospital),
                    cases=cases,
                    seed=start + seed,
                    first=start,
                    shape=(self.size, self.size, self.size),
                    spacing_mm=SIDE_MM / self.size,
                )

    def _site(self, seed: int, hospital: int, part: str) -> Any:
        """A hospital's cases as the plan's loader reads them; none is held out."""

        home = self.scratch / f"seed-{seed}"
        plan = Plan(self.plan)
        settings = {**plan.settings("data_loader"), "cache": str(home / "cache")}
        folder = home / f"{part}-{hospital}"
        site = plans.build({**plan.loader, "settings": settings}, data_path=str(folder))
        site.train_files += site.validation_files
        return site

    def _scored(self, network: Any, seed: int, name: str) -> dict[str, Any]:
        """Measure the network on every hospital.

        dice: of the test patients, by region, as a mean over hospitals.
        losses: of members (training patients) and others (test patients), by hospital.
        """

        plan = Plan(self.plan)
        inferer, metrics = plans.build(plan.part("inferer")), plans.build(plan.part("metrics"))
        loss, compute = plans.build(plan.loss), Compute("cpu")
        by_hospital, found = [], {}
        for hospital in PRIVATE:
            others = self._site(seed, hospital, "test").train_cases
            scores = [
                metrics.score(case, inferer.predict(network, case.images), distances=False)
                for case in others
            ]
            by_hospital.append(metrics.summary(scores)["dice"])
            members = self._site(seed, hospital, "train").train_cases
            found[str(hospital)] = {
                "members": losses(network, members, loss, compute).tolist(),
                "others": losses(network, others, loss, compute).tolist(),
            }
        dice = {cell: float(np.mean([dice[cell] for dice in by_hospital])) for cell in CELLS}
        return {"seed": seed, "name": name, "dice": dice, "losses": found}


def _with_seed(plan: dict[str, Any], seed: int) -> dict[str, Any]:
    """The plan with another seed."""
    runner = plan["task_runner"]
    return {**plan, "task_runner": {**runner, "settings": {**runner["settings"], "seed": seed}}}
