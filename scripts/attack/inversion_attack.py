"""`attack inversion`: a patient's images from one update, in each form in which somebody holds it.

It uses synthetic cases, the plan's network with its initial weights, and one small patch around a
tumour. That is an easy case for the attacker, so that what encryption and noise deny him shows.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.table import Table

from scripts import options
from scripts.attack import figures, findings
from scripts.attack.gradient_inversion import Attack, Guess, invert, likeness
from scripts.attack.victim import OTHERS, SITES, Victim, mean_of_others, patch
from scripts.local import finished_run
from scripts.options import quoted
from src.differential_privacy.dp_sgd import PatientDPSGD
from src.errors import InputError
from src.plan import plan as plans
from src.plan.view import Plan

PRIVATE_PLAN = options.ROOT / "plan" / "dp.yaml"
STEPS = 5  # of the longer update
Held = tuple[str, str, list[torch.Tensor]]  # a title, who holds it, the update


def inversion(
    run: Path | None,
    plan_path: Path,
    iterations: int,
    side: int,
    noise: str,
    seed: int,
    out: Path | None,
) -> None:
    """Patients' images out of one update: plain, encrypted, private.

    --run takes the run's plan; the patients are synthetic all the same.
    """

    console = findings.console()
    plan = plans.read(finished_run.plan_of(run) if run else plan_path)
    multipliers = [float(word) for word in noise.split(",") if word]
    with console.status("a patient, and updates"):
        victim = made(plan, seed, side)
        holdings = list(held(victim, multipliers, *private_part(plan)))
    guess = mean_of_others(seed, side)
    guesses: list[Guess] = [guess]
    about = f"nobody: mean patch of {OTHERS} other patients"
    rows = [{"title": "guess", "held_by": about, **likeness(guess, victim.images, victim.regions)}]
    for title, who, target in holdings:
        with console.status(title):
            found = invert(
                victim.network,
                victim.loss,
                target,
                (side, side, side),
                attack=Attack(iterations=iterations),
                rng=np.random.default_rng(seed),
            )
        guesses.append(found)
        likenesses = likeness(found, victim.images, victim.regions)
        rows.append({"title": title, "held_by": who, **likenesses})
    console.print(table(rows))
    console.print(
        "\nVoxel correlation by sequence, PSNR in dB, Dice of the label by region.\n"
        f"One patch of {side}³ voxels, untrained weights, {iterations} iterations. More "
        "iterations sharpen what is found; larger\nbatches, patches and networks and more steps "
        "blunt it. A picture that comes out is a leak; one that does not\nis no proof. Encryption "
        "hides one site's update, not the sum, which every site opens: only noise bounds that."
    )
    titles = ["truth", *(f"{row['title']}\n{row['correlation']['mean']:.2f}" for row in rows)]
    images = [victim.images, *(g.images for g in guesses)]
    regions = [victim.regions, *(g.regions for g in guesses)]
    figure = figures.inversion(titles, images, regions)
    found = {"side": side, "iterations": iterations, "rows": rows}
    following = f"attack membership --run {quoted(run)}" if run else "attack membership --help"
    findings.keep(console, "inversion", found, figure, out=out, run=run, following=following)


def made(plan: dict[str, Any], seed: int, side: int) -> Victim:
    """The plan's network, untrained, and one patch of each of three synthetic hospitals."""

    asked = Plan(plan)
    torch.manual_seed(seed)
    network, loss = plans.build(asked.model), plans.build(asked.loss)
    return Victim(network, loss, [patch(site, 0, seed, side) for site in range(len(SITES))])


def private_part(plan: dict[str, Any]) -> tuple[PatientDPSGD, int]:
    """(DP-SGD as the plan has it, else as plan/dp.yaml; the rounds of that plan)."""

    for candidate in (Plan(plan), Plan.read(PRIVATE_PLAN)):
        part = plans.build(candidate.local)
        if isinstance(part, PatientDPSGD):
            return part, candidate.rounds
    raise InputError(f"{PRIVATE_PLAN} does not train by DP-SGD any more.")


def held(
    victim: Victim, multipliers: list[float], part: PatientDPSGD, rounds: int
) -> Iterator[Held]:
    """Every form of the victim's update, beginning with the plainest."""
    yield "1 step", "whoever gets a plain update", victim.update(1)
    yield f"{STEPS} steps", "whoever gets a plain update", victim.update(STEPS)
    encrypted = victim.encrypted()
    yield "ciphertext", "the aggregator", encrypted.as_numbers()
    yield "masked", "the aggregator, with a site's key", encrypted.opened()
    yield "sum of 3", "every site, and whoever gets the model", encrypted.summed()
    planned = part.a_round(rounds).noise_multiplier
    for multiplier in (*multipliers, planned):
        words = "whoever gets a private update"
        if multiplier == planned:
            words += f" (epsilon {part.epsilon:g} a run)"
        yield f"noise {multiplier:.3g}", words, victim.private(multiplier, part.clip_norm)


def table(rows: list[dict[str, Any]]) -> Table:
    """The forms of the update as a table, one a line."""
    shown = Table(box=None, pad_edge=False)
    correlations, dice = list(rows[0]["correlation"]), list(rows[0]["dice"])
    shown.add_column("update")
    for title in (*correlations, "PSNR", *dice):
        shown.add_column(title, justify="right", no_wrap=True)
    shown.add_column("who holds it")
    for row in rows:
        shown.add_row(
            row["title"],
            *(f"{row['correlation'][name]:.2f}" for name in correlations),
            f"{row['psnr_db']:.1f}",
            *(f"{row['dice'][region]:.2f}" for region in dice),
            row["held_by"],
        )
    return shown
