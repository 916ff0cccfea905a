"""`attack membership`: who was trained on? Judged by each patient's loss under the final model.

Members are the patients on whom a site has trained. Others are patients of the same site on whom it
has not: its validation patients and, where the cases are synthetic, new ones of the same synthetic
hospital. The untrained model is asked the same, to show what of the answer is chance.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from scripts.attack import figures, findings
from scripts.attack.groups import Groups, given, of_run
from scripts.attack.membership_inference import (
    Auc,
    auc,
    by_patient,
    losses,
    pooled_auc,
    true_positive_rates,
)
from scripts.local import finished_run
from scripts.options import quoted
from src.engines.openfl.model_file import read_model
from src.errors import InputError
from src.inference.checkpoint import load_weights
from src.plan import plan as plans
from src.plan.view import Plan
from src.training.compute import Compute

SCORES = ("initial", "final", "fall")  # loss under either model, and how far it has fallen
HOW_TO_READ = (
    "Chance that a member's loss is the lower, within a site, with 95 % interval: 0.5 is a coin. "
    "An interval above it is evidence that the model gives its patients away; of many intervals, "
    "some miss by chance. No evidence is no proof: the patients are few, and the attack is the "
    "simplest."
)
HOW_TO_COMPARE = (
    " The initial model has seen nobody: what it tells is chance. fall: by how far the loss has "
    "fallen since, instead of the loss."
)
WORDS = {True: "the model tells members apart", False: "no evidence that it tells members apart"}


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
    figure = figures.membership(found)
    following = f"attack inversion --run {quoted(run)}" if run else "attack inversion"
    findings.keep(console, "membership", found, figure, out=out, run=run, following=following)


@dataclass(frozen=True)
class Losses:
    """The losses of members and others, one for each patient."""

    members: np.ndarray
    others: np.ndarray

    def __sub__(self, before: "Losses") -> "Losses":
        """How much each loss has changed since `before`."""
        return Losses(self.members - before.members, self.others - before.others)


def measure(
    plan: dict[str, Any], model: Path, site: Path | None, groups: dict[str, Groups]
) -> dict[str, Losses]:
    """The losses by site, under the model in that file, in float32."""

    asked = Plan(plan)
    network, loss = plans.build(asked.model), plans.build(asked.loss)
    load_weights(network, read_model(model, site), name=model)
    compute = Compute(asked.device, "fp32")
    network.to(compute.device)

    def of(cases) -> np.ndarray:
        return by_patient(losses(network, cases, loss, compute), cases)

    return {
        name: Losses(of(group.members), of([*group.held_out, *group.new]))
        for name, group in groups.items()
    }


def compare(losses: dict[str, dict[str, Losses]], rng: np.random.Generator) -> dict[str, Any]:
    """The record of the attack.

    losses: by model, "final" and perhaps "initial", then by site. With both, the attack also looks
        at how far a patient's loss has fallen between them, which removes how hard a patient is
        without any training (Watson et al. 2022, arXiv:2111.08440). Sites without others are left
        out. The verdict, `is_evidence`, concerns all sites together: of many sites' intervals, some
        miss by chance.
    InputError: no site is left.
    """

    final = {name: own for name, own in losses["final"].items() if len(own.others)}
    if not final:
        raise InputError("No site has patients that were not trained on: nothing to compare.")
    by_score = losses
    if "initial" in losses:
        fall = {name: own - losses["initial"][name] for name, own in final.items()}
        by_score = losses | {"fall": fall}
    sites: dict[str, Any] = {}
    for name, own in final.items():
        sites[name] = _row([own]) | {
            score: _record(auc(by_site[name].members, by_site[name].others, rng=rng))
            for score, by_site in by_score.items()
        }
        rates = true_positive_rates(own.members, own.others)
        sites[name]["found_at_false_positive_rate"] = {f"{r:g}": v for r, v in rates.items()}
    pooled = _row(list(final.values())) | {
        score: _record(pooled_auc([(by[s].members, by[s].others) for s in final], rng=rng))
        for score, by in by_score.items()
    }
    pooled["is_evidence"] = is_evidence(pooled)
    return {"sites": sites, "pooled": pooled}


def is_evidence(row: dict[str, Any]) -> bool:
    """Whether the final model distinguishes members, by loss or by its fall.

    It does not count if the initial model, which has seen nobody, distinguishes them by loss as
    well: then the choice of members did so by chance.
    """
    above = {score: row[score]["low"] > 0.5 for score in SCORES if score in row}
    return above.get("fall", False) or (above["final"] and not above.get("initial", False))


def _row(groups: list[Losses]) -> dict[str, Any]:
    members = np.concatenate([group.members for group in groups])
    others = np.concatenate([group.others for group in groups])
    return {
        "members": len(members),
        "others": len(others),
        "loss_members": float(members.mean()),
        "loss_others": float(others.mean()),
    }


def _record(auc: Auc) -> dict[str, Any]:
    return {"auc": auc.value, "low": auc.low, "high": auc.high}


def show(console: Console, found: dict[str, Any]) -> None:
    """Print the table, and how to read it."""
    table = Table(box=None, pad_edge=False)
    scores = [score for score in SCORES if score in found["pooled"]]
    for title in ("site", "members", "others", "loss", "of others", *scores):
        table.add_column(title, justify="left" if title == "site" else "right", no_wrap=True)
    for name, row in {**found["sites"], "all": found["pooled"]}.items():
        table.add_row(
            name,
            str(row["members"]),
            str(row["others"]),
            f"{row['loss_members']:.3f}",
            f"{row['loss_others']:.3f}",
            *(in_words(row[score]) for score in scores),
        )
    console.print(table)
    console.print(f"\nAll sites together: {WORDS[found['pooled']['is_evidence']]}.")
    console.print(HOW_TO_READ + (HOW_TO_COMPARE if "initial" in scores else ""))
    for name, row in found["sites"].items():
        for rate, share in row["found_at_false_positive_rate"].items():
            console.print(f"{name}: {share:.0%} of members found at {float(rate):.1%} of others.")


def in_words(auc: dict[str, Any]) -> str:
    """An area under the curve as text: 0.61 [0.48, 0.73]."""
    return f"{auc['auc']:.2f} \\[{auc['low']:.2f}, {auc['high']:.2f}]"
