"""The baselines of a run: trained in this process, scored on the run's validation cases."""

import io
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.progress import Progress
from rich.table import Table
from torch import nn

from scripts.local import finished_run
from scripts.report.baselines import FILE, read_baselines
from scripts.report.evaluation import Scorer
from scripts.report.page import write_report
from src.data.site_cases import SiteCases
from src.engines.openfl.model_file import read_plain_model
from src.errors import InputError
from src.files import write_atomically
from src.inference.checkpoint import load_weights
from src.model_vector import Manifest
from src.plan import plan as plans
from src.plan import rules
from src.plan.view import Plan
from src.training.compute import Compute
from src.training.fedavg import FedAvg
from src.training.local import LocalTraining
from src.verbs.screen import Screen

Scores = dict[str, Any]
FOLDER = "baselines"
POOLED_STREAM = 1_000  # of sampling, beside the sites' numbers


class Ensemble(nn.Module):
    """Networks as one: the logit of the mean of their probabilities."""

    def __init__(self, networks: list[nn.Module]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)
        self.multiple = max(int(network.multiple) for network in networks)  # type: ignore[arg-type]

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits (B, 3, X, Y, Z), float32."""
        each = [torch.sigmoid(network(images).float()) for network in self.networks]
        return torch.logit(torch.stack(each).mean(0), eps=1e-7)


class Study:
    """The baselines of one run. InputError: its plan is private, or trains in a way of its own."""

    def __init__(self, run: Path) -> None:
        self.run = run
        raw = plans.read(finished_run.plan_of(run))
        rules.check(raw, name=str(finished_run.plan_of(run)))
        self.plan = Plan(raw)
        self.compute = Compute(self.plan.device, self.plan.precision)
        local = plans.build(self.plan.local)
        if rules.is_private(raw) or not isinstance(local, LocalTraining):
            raise InputError(
                f"{run}: its plan trains with {self.plan.local['template']}: baselines train with "
                "LocalTraining, as plan/plan.yaml does. Simulate that plan on the same data, and "
                "name its run."
            )
        self.local = local
        self.sites = finished_run.site_data(run, raw)
        for cases in self.sites.values():
            cases.cache = run / "cache"
        self.console = Screen(markup=True)

    # -- training --------------------------------------------------------------------------------

    def network(self) -> nn.Module:
        """The plan's network with the weights that the run began with."""
        network = plans.build(self.plan.model)
        first = finished_run.initial_model(self.run)
        load_weights(network, read_plain_model(first), name=first)
        return network.to(self.compute.device)

    def trained(self, name: str, cases: SiteCases, local: LocalTraining, stream: int) -> nn.Module:
        """Trained for the plan's rounds, or as it was trained and kept by an earlier call."""
        network = self.network()
        path = self.run / FOLDER / f"{name}.npy"
        if path.is_file():
            load_weights(network, np.load(path), name=path)
            return network
        self.compute.prove(network, cases.get_feature_shape())
        loss = plans.build(self.plan.loss)
        steps = local.steps_for(cases.get_train_data_size())
        shown = self.console.is_terminal
        with Progress(console=self.console, transient=True, disable=not shown) as progress:
            bar = progress.add_task(name, total=self.plan.rounds * steps)
            for number in range(self.plan.rounds):
                local.run(
                    network,
                    cases,
                    loss=loss,
                    algorithm=FedAvg(),
                    compute=self.compute,
                    round_number=number,
                    rng=np.random.default_rng([self.plan.seed, number, stream]),
                    on_step=lambda _: progress.advance(bar),
                )
        state = {name: t.detach().cpu().numpy() for name, t in network.state_dict().items()}
        content = io.BytesIO()
        np.save(content, Manifest.of(state).pack(state))
        write_atomically(path, content.getvalue())
        return network

    def alone(self) -> dict[str, nn.Module]:
        """Each site's own model."""
        return {
            site: self.trained(f"alone-{site}", cases, self.local, stream)
            for stream, (site, cases) in enumerate(self.sites.items())
        }

    def pooled(self) -> nn.Module:
        """One model on the training cases of all sites, with the sum of their steps a round."""
        first, *others = self.sites.values()
        whole = plans.build(self.plan.loader, data_path=None)
        whole.cache = first.cache
        whole.train_files = [case for cases in (first, *others) for case in cases.train_files]
        steps = sum(self.local.steps_for(c.get_train_data_size()) for c in self.sites.values())
        return self.trained(
            "pooled", whole, replace(self.local, steps=steps, epochs=None), POOLED_STREAM
        )

    # -- scoring ---------------------------------------------------------------------------------

    def scores(self, network: nn.Module) -> Scores:
        """A model's scores on each site's validation cases."""
        scorer = Scorer(
            network,
            plans.build(self.plan.part("inferer")),
            plans.build(self.plan.part("metrics")),
            self.compute,
            self.run / "cache",
        )
        return {site: scorer.summary(cases.validation_files) for site, cases in self.sites.items()}

    def show_alone(self) -> None:
        """`baseline alone`."""
        models = self.alone()
        matrix = {site: self.scores(model) for site, model in models.items()}
        self._keep({"alone": {site: scores[site] for site, scores in matrix.items()}})
        self._keep({"alone_everywhere": matrix})
        table = Table("model of \\ scored at", *matrix, box=None, pad_edge=False)
        for site, scores in matrix.items():
            table.add_row(site, *(f"{scores[at]['dice']['mean']:.3f}" for at in matrix))
        self._end(table)

    def show_pooled(self) -> None:
        """`baseline pooled`."""
        self._keep({"pooled": self.scores(self.pooled())})
        self._end(self._table("pooled"))

    def show_ensemble(self) -> None:
        """`baseline ensemble`."""
        ensemble = Ensemble(list(self.alone().values()))
        self._keep({"ensemble": self.scores(ensemble)})
        self._end(self._table("ensemble"))

    def _table(self, name: str) -> Table:
        found = read_baselines(self.run)[name]
        table = Table("site", "WT", "TC", "ET", "mean", box=None, pad_edge=False)
        for site, scores in found.items():
            dice = (f"{scores['dice'][cell]:.3f}" for cell in ("WT", "TC", "ET", "mean"))
            table.add_row(site, *dice)
        return table

    def _keep(self, found: Mapping[str, Any]) -> None:
        content = read_baselines(self.run) | dict(found)
        write_atomically(self.run / "report" / FILE, json.dumps(content, indent=1))

    def _end(self, table: Table) -> None:
        self.console.print("Dice on each site's own validation cases")
        self.console.print(table)
        self.console.print(f"\nNumbers: {self.run / 'report' / FILE}", soft_wrap=True)
        self.console.print(f"Report:  {write_report(self.run)}", soft_wrap=True)
