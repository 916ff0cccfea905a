"""`attack membership`: who was trained on? By each patient's loss under the final model.

Members are the patients that a site has trained on; others are patients of the same site that it
has not: its validation patients and, where the patients are synthetic, newly made ones of the same
synthetic hospital. The untrained model is asked the same, for what of it is chance.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from scripts import finished_run, options
from scripts.attack import findings

if TYPE_CHECKING:
    from src.data.preprocess import PreparedCase
    from src.evaluation.membership import Auc

STREAM = 0x6D656D62  # keeps newly made patients apart from all others with the same seed
WORDS = {True: "tells members apart", False: "no evidence"}


@dataclass(frozen=True)
class Groups:
    """A site's patients. new: those of the others that were made for the attack."""

    members: "Sequence[PreparedCase]"
    others: "Sequence[PreparedCase]"
    new: "Sequence[PreparedCase]" = ()


@click.command()
@findings.run
@click.option("--model", type=click.Path(path_type=Path, dir_okay=False), help="A .pbuf file.")
@click.option(
    "--site",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="A site's workspace, to open an encrypted --model; with --run found by itself.",
)
@options.plan
@click.option(
    "--members",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="With --model: a folder of cases that it was trained on, or of site folders.",
)
@click.option(
    "--others",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="With --model: the same sites' cases that it has never seen.",
)
@options.kind
@click.option(
    "--new",
    "count",
    default=32,
    show_default=True,
    type=click.IntRange(min=0),
    help="With --run: synthetic patients to make, a site.",
)
@options.changes
@findings.seed
@findings.out
def membership(
    run: Path | None,
    model: Path | None,
    site: Path | None,
    plan_path: Path,
    members: Path | None,
    others: Path | None,
    kind: str | None,
    count: int,
    changes: tuple[str, ...],
    seed: int,
    out: Path | None,
) -> None:
    """Who was trained on? By the loss of a run's final model.

    Either --run, or --model with --members and --others.
    """
    from src import plan as plans
    from src.evaluation import attack_figures

    if run is None and None in (model, members, others):
        raise click.UsageError("Give --run, or --model, --members and --others.")
    console = findings.console()
    plan = plans.read(finished_run.plan_of(run) if run else plan_path)
    plans.change(plan, changes)
    cache = (out or run or findings.DEFAULT_OUT) / "cache"
    with console.status("patients"):
        if members is not None and others is not None:
            groups = given(members, others, kind, cache)
        else:
            assert run is not None
            groups = of_run(run, plan, cache, count, seed)
    models = {"final": model or finished_run.final_model(run or Path())}
    if run is not None and model is None:
        models = {"initial": finished_run.initial_model(run)} | models
    site = site or (finished_run.any_site(run) if run else None)
    losses: dict[str, dict[str, Losses]] = {}
    for name, path in models.items():
        with console.status(f"losses of the {name} model"):
            losses[name] = measure(plan, path, site, groups)
    found = compare(losses, np.random.default_rng(seed))
    show(console, found)
    figure = attack_figures.membership(found)
    following = f"attack inversion --run {run}" if run else "attack inversion"
    findings.keep(console, "membership", found, figure, out=out, run=run, following=following)


# -- patients --------------------------------------------------------------------------------------


def of_run(run: Path, plan: dict[str, Any], cache: Path, new: int, seed: int) -> dict[str, Groups]:
    """As each site has split its own; with newly made patients where they are synthetic."""
    from src.data.preprocess import prepared

    groups = {}
    for name, data in finished_run.site_data(run, plan).items():
        members, others = (
            [prepared(files, cache) for files in part]
            for part in (data.train_files, data.validation_files)
        )
        hospital = hospital_of(finished_run.data_folders(run)[name], members + others)
        made = [] if hospital is None else list(patients(hospital, new, seed, like=members[0]))
        groups[name] = Groups(members, others, made)
    return groups


def hospital_of(folder: Path, cases: "Iterable[PreparedCase]") -> int | None:
    """Which synthetic hospital all these patients are of; None: real ones, or of several.

    `prepare` numbers the patients of hospital i from 1000 i.
    """
    from scripts.prepare import MOST_PHANTOMS
    from src.data.layouts import read_dataset_yaml

    if not read_dataset_yaml(folder).synthetic:
        return None
    numbers = {re.search(r"\d+(?=\D*$)", case.patient_id) for case in cases}
    hospitals = {int(found.group()) // MOST_PHANTOMS for found in numbers if found}
    return hospitals.pop() if len(hospitals) == 1 else None


def patients(
    hospital: int, count: int, seed: int, *, like: "PreparedCase"
) -> "Iterator[PreparedCase]":
    """New patients of a synthetic hospital, on the grid of `like`."""
    from src.data.phantom_site import site_for
    from src.data.public_cases import synthetic_case

    for number in range(count):
        yield synthetic_case(
            f"new-{hospital}-{number}",
            [STREAM, seed, hospital, number],
            site=site_for(hospital),
            shape=like.full_shape,
            spacing_mm=like.spacing_mm[0],
        )


def given(members: Path, others: Path, kind: str | None, cache: Path) -> dict[str, Groups]:
    """Two folders with the same site folders in them, or with the cases of one site each.

    ValueError: a site has members or others only, or a patient is on both sides.
    """
    from scripts.evaluate import given_cases
    from src.data.preprocess import prepared

    sides = [given_cases(folder, kind) for folder in (members, others)]
    if all(len(side) == 1 for side in sides):
        (name,) = sides[0]
        sides = [{name: files} for side in sides for files in side.values()]
    if sides[0].keys() != sides[1].keys():
        raise ValueError(
            f"Members and others are compared within a site: {members} holds "
            f"{', '.join(sides[0])}, {others} holds {', '.join(sides[1])}. Give the same sites."
        )
    groups = {}
    for name in sides[0]:
        ours, theirs = ([prepared(files, cache) for files in side[name]] for side in sides)
        both = {case.patient_id for case in ours} & {case.patient_id for case in theirs}
        if both:
            raise ValueError(f"{name}: {len(both)} patients are members and others at once.")
        groups[name] = Groups(ours, theirs)
    return groups


# -- losses ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Losses:
    """One a patient. others: held out and new ones together."""

    members: np.ndarray
    held_out: np.ndarray
    new: np.ndarray

    @property
    def others(self) -> np.ndarray:
        return np.concatenate([self.held_out, self.new])


def measure(
    plan: dict[str, Any], model: Path, site: Path | None, groups: dict[str, Groups]
) -> dict[str, Losses]:
    """By site, under the model in that file, in float32."""
    from src import plan as plans
    from src.evaluation.membership import by_patient, losses
    from src.inference.checkpoint import load_weights
    from src.training.compute import Compute

    settings = plan["task_runner"]["settings"]
    network, loss = plans.build(settings["model"]), plans.build(settings["loss"])
    load_weights(network, model, site)
    compute = Compute(settings.get("device", "auto"), "fp32")
    network.to(compute.device)
    return {
        name: Losses(
            *(
                by_patient(losses(network, cases, loss, compute), cases)
                for cases in (group.members, group.others, group.new)
            )
        )
        for name, group in groups.items()
    }


def compare(losses: dict[str, dict[str, Losses]], rng: np.random.Generator) -> dict[str, Any]:
    """The record of the attack. losses: by model, "final" and maybe "initial", then by site.

    Sites without others are left out. `new_against_held_out`: whether newly made patients are fair
    others; None where there are not both. ValueError: no site is left.
    """
    from src.evaluation.membership import auc, pooled_auc, true_positive_rates

    final = {name: own for name, own in losses["final"].items() if len(own.others)}
    if not final:
        raise ValueError("No site has patients that were not trained on: nothing to compare.")
    sites: dict[str, Any] = {}
    for name, own in final.items():
        sites[name] = _numbers([own]) | {
            model: _record(auc(by_site[name].members, by_site[name].others, rng=rng))
            for model, by_site in losses.items()
        }
        rates = true_positive_rates(own.members, own.others)
        sites[name]["found_at_false_positive_rate"] = {f"{r:g}": v for r, v in rates.items()}
    pooled = _numbers(list(final.values())) | {
        model: _record(pooled_auc([(by[s].members, by[s].others) for s in final], rng=rng))
        for model, by in losses.items()
    }
    both = [(own.held_out, own.new) for own in final.values() if len(own.held_out) * len(own.new)]
    control = _record(pooled_auc(both, rng=rng)) if both else None
    return {"sites": sites, "pooled": pooled, "new_against_held_out": control}


def _numbers(groups: list[Losses]) -> dict[str, Any]:
    members, others = (
        np.concatenate([getattr(g, k) for g in groups]) for k in ("members", "others")
    )
    return {
        "members": len(members),
        "others": len(others),
        "new": sum(len(group.new) for group in groups),
        "loss_members": float(members.mean()),
        "loss_others": float(others.mean()),
    }


def _record(auc: "Auc") -> dict[str, Any]:
    return {"auc": auc.value, "low": auc.low, "high": auc.high, "is_evidence": auc.is_evidence}


def show(console: Console, found: dict[str, Any]) -> None:
    """The table, and how to read it."""
    table = Table(box=None, pad_edge=False)
    models = [model for model in ("initial", "final") if model in found["pooled"]]
    for title in ("site", "members", "others", "loss", "of others", *models, ""):
        table.add_column(title, justify="right" if title not in ("site", "") else "left")
    for name, row in {**found["sites"], "all": found["pooled"]}.items():
        table.add_row(
            name,
            str(row["members"]),
            str(row["others"]),
            f"{row['loss_members']:.3f}",
            f"{row['loss_others']:.3f}",
            *(in_words(row[model]) for model in models),
            WORDS[row["final"]["is_evidence"]],
        )
    console.print(table)
    console.print(
        "\nChance that a member's loss is the lower, within the site, with 95 % interval: 0.5 is a "
        "coin. An interval\nabove it is evidence that the model gives its patients away. No "
        "evidence is no proof: these are few patients\nand the simplest of attacks."
    )
    for name, row in found["sites"].items():
        for rate, share in row["found_at_false_positive_rate"].items():
            console.print(f"{name}: {share:.0%} of members found at {float(rate):.1%} of others.")
    control = found["new_against_held_out"]
    if control:
        fair = control["low"] <= 0.5 <= control["high"]
        console.print(
            f"Held-out against newly made patients: {in_words(control)}"
            + ("; fair others hold 0.5." if fair else ". They differ: compare with --new 0.")
        )


def in_words(auc: dict[str, Any]) -> str:
    """0.61 [0.48, 0.73]"""
    return f"{auc['auc']:.2f} \\[{auc['low']:.2f}, {auc['high']:.2f}]"
