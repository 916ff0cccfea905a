"""`evaluate`: how good a trained model is, case by case, on a run's sites or on other data."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from scripts.local import finished_run
from scripts.partition.preparation import site_folders
from scripts.report.page import write_report
from src.data.case import CaseFiles
from src.data.layouts import find_cases, read_dataset_yaml
from src.data.preprocess import prepared
from src.engines.openfl.model_file import read_model
from src.files import write_atomically
from src.inference.checkpoint import load_weights
from src.plan import plan as plans
from src.plan import rules
from src.plan.view import Plan
from src.training.compute import Compute
from src.verbs.screen import Screen

CELLS = ("WT", "TC", "ET", "mean")


def evaluate(
    run: Path | None,
    model: Path | None,
    site: Path | None,
    plan_path: Path,
    data: Path | None,
    kind: str | None,
    changes: tuple[str, ...],
    out: Path | None,
) -> None:
    """Score a trained model: Dice and HD95 per region.

    Either --run, or --model with --data (every labelled case there is scored).
    """

    console = Screen(markup=True)
    if run is not None:
        plan_path = finished_run.plan_of(run)
        model = model or finished_run.final_model(run)
    if model is None or (run is None and data is None):
        raise click.UsageError("Give --run, or --model and --data.")
    plan = plans.read(plan_path)
    plans.change(plan, changes)
    rules.check(plan, name=str(plan_path))
    cases = given_cases(data, kind) if data is not None else _held_out_cases(run or Path(), plan)
    site = site or (finished_run.any_site(run) if run else None)
    scorer = Scorer.of(plan, model, (out or run or Path("runs")) / "cache", site)
    results = {site: scorer.summary(files) for site, files in cases.items()}
    for table in tables(results):
        console.print(table)
    out = out or (run / "report" if run else Path("runs"))
    write_atomically(out / "evaluation.json", json.dumps(results, indent=2))
    console.print(f"\nNumbers: {out / 'evaluation.json'}", soft_wrap=True)
    if run is not None and data is None:
        console.print(f"Report:  {write_report(run)}", soft_wrap=True)


@dataclass(frozen=True)
class Scorer:
    """The plan's network with a model's weights, and the plan's way to predict and to score."""

    network: Any
    inferer: Any
    metrics: Any
    compute: Any
    cache: Path

    @classmethod
    def of(
        cls, plan: dict[str, Any], model: Path, cache: Path, site: Path | None = None
    ) -> "Scorer":
        """Built from the plan's parts. site: the workspace that can open an encrypted model."""

        asked = Plan(plan)
        network = plans.build(asked.model)
        load_weights(network, read_model(model, site), name=model)
        compute = Compute(asked.device, asked.precision)
        return cls(
            network.to(compute.device),
            plans.build(asked.part("inferer")),
            plans.build(asked.part("metrics")),
            compute,
            cache,
        )

    def summary(self, files: list[CaseFiles]) -> dict[str, Any]:
        """Mean Dice, HD95 in mm and the number of cases without a region."""

        scores = []
        for case in (prepared(entry, self.cache) for entry in files):
            with self.compute.autocast():
                prediction = self.inferer.predict(self.network, case.images)
            scores.append(self.metrics.score(case, prediction, distances=True))
        return self.metrics.summary(scores)


def given_cases(data: Path, kind: str | None) -> dict[str, list[CaseFiles]]:
    """Every case of each site folder in `data`, or of `data` itself."""

    folders = site_folders(data) or {data.name: data}
    return {
        name: find_cases(folder, kind or read_dataset_yaml(folder).kind)
        for name, folder in folders.items()
    }


def _held_out_cases(run: Path, plan: dict[str, Any]) -> dict[str, list[CaseFiles]]:
    """The validation cases of each of the run's sites, as the sites themselves split them."""
    return {site: own.validation_files for site, own in finished_run.site_data(run, plan).items()}


def tables(results: dict[str, dict[str, Any]]) -> list[Table]:
    """Dice and HD95 by site, each a table that 80 columns hold with the longest name of a site."""
    shown = []
    for title, key, digits in (("Dice", "dice", 3), ("HD95 in mm", "hd95_mm", 1)):
        table = Table(box=None, pad_edge=False, title=title, title_justify="left")
        table.add_column("site", no_wrap=True)
        for name in ("cases", *CELLS):
            table.add_column(name, justify="right", no_wrap=True)
        for site, summary in results.items():
            numbers = (f"{summary[key][cell]:.{digits}f}" for cell in CELLS)
            table.add_row(site, str(summary["cases"]), *numbers)
        shown.append(table)
    return shown
