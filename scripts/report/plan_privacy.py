"""`privacy`: what a private plan guarantees and costs, before anybody signs it.

The price is the noise beside the largest signal there can be: every gradient (or update) of full
length and all in one direction. What comes out better than that does not exist.
"""

import math
from pathlib import Path

from rich.table import Table

from scripts.local.workspace import complete_plan
from src.differential_privacy import accountant
from src.differential_privacy.feasibility import enough, table
from src.differential_privacy.guarantee import guarantees, reach
from src.differential_privacy.ledger_file import in_unit
from src.errors import PlanError
from src.plan import plan as plans
from src.plan.view import Plan
from src.trainable import trainable_names
from src.verbs.screen import Screen, words

SITE_SIZES = (4, 8, 16, 32, 64, 128, 256, 511)  # 511: the largest site of FeTS 2022
HOPELESS, DOUBTFUL = 10.0, 1.0  # length of a whole run's noise in lengths of its largest signal


def privacy(plan_path: Path, rounds: int | None, changes: tuple[str, ...]) -> None:
    """What a plan with differential privacy costs: epsilon by round, noise by site size."""

    console = Screen()
    plan = Plan(complete_plan(plan_path, rounds=rounds, changes=changes))
    found = guarantees(plan)
    if not found:
        raise PlanError(
            f"{plan_path} guarantees no differential privacy. Plans that do: plan/README.md."
        )
    network = plans.build(plan.model)
    sizes = {name: values.numel() for name, values in network.named_parameters()}
    for guarantee in found:
        values = sum(sizes[name] for name in trainable_names(network, guarantee.trainable))
        console.print(words("\n", guarantee.what), f"{_words(guarantee, plan)}.\n", soft_wrap=True)
        console.print(_by_round(guarantee))
        if guarantee.of == "validation":
            continue
        console.print(f"\n{values:,} of {sum(sizes.values()):,} values are trainable.\n")
        if guarantee.unit == "patient":
            console.print(_by_patients(guarantee, values))
        else:
            console.print(_by_sites(guarantee, values))
            console.print(_enough(guarantee, values), soft_wrap=True)
        console.print(PER_PATIENT if guarantee.unit == "patient" else PER_SITE, soft_wrap=True)


def _words(guarantee, plan: Plan) -> str:
    return guarantee.part.describe(plan.rounds)


def _by_round(guarantee) -> Table:
    """Epsilon after some of the rounds, and after as many as the noise is calibrated for."""

    def cost(events) -> float:
        return accountant.epsilon(events, guarantee.delta)

    paid = reach(cost, guarantee.a_round, guarantee.epsilon, 2 * guarantee.rounds + 10)
    some = {1, *(math.ceil(guarantee.rounds * part) for part in (0.25, 0.5, 0.75, 1)), paid}
    table = Table("rounds", "epsilon (RDP)", "by PRV", box=None, padding=(0, 2))
    for rounds in sorted(some - {0}):
        events = [guarantee.a_round] * rounds
        note = "" if rounds <= guarantee.rounds else f" ({rounds - guarantee.rounds} spare)"
        tight = accountant.epsilon_prv(events, guarantee.delta)
        table.add_row(f"{rounds}{note}", f"{cost(events):.3f}", f"{tight:.3f}")
    table.title = f"noise multiplier {guarantee.a_round.noise_multiplier:.4f}"
    table.title_justify = "left"
    return table


def _by_patients(guarantee, values: int) -> Table:
    """One row for each size of a site."""
    event = guarantee.a_round
    steps = event.steps * guarantee.rounds
    spent = guarantee.after(guarantee.rounds)
    names = ("patients", "in a step", "epsilon", "delta x N", "noise/step", "noise/run", "")
    table = Table(*names, box=None, padding=(0, 1))
    for patients in SITE_SIZES:
        expected = event.sample_rate * patients
        ratio = event.noise_multiplier * math.sqrt(values) / expected
        run = ratio / math.sqrt(steps)
        table.add_row(
            f"{patients}",
            f"{expected:g}",
            f"{spent:.2f}",
            f"{guarantee.delta * patients:.4f}"
            + ("!" if _above(guarantee.delta, patients) else ""),
            f"{ratio:.1f}",
            f"{run:.2f}",
            "hopeless" if run > HOPELESS else "doubtful" if run > DOUBTFUL else "",
        )
    return table


def _above(delta: float, patients: int) -> bool:
    return delta > 1 / (10 * patients)


def _by_sites(guarantee, values: int) -> Table:
    """One row for each number of sites."""

    shown = Table("sites", "noise counted on", "noise/round", "", box=None, padding=(0, 2))
    for row in table(guarantee.a_round.noise_multiplier, values):
        word = "" if row.worthwhile else "too few"
        shown.add_row(f"{row.sites}", f"of {row.contributors}", f"{row.noise:.2f}", word)
    return shown


def _enough(guarantee, values: int) -> str:

    patient = in_unit(guarantee.a_round, "site", "patient", 1)
    spent = accountant.epsilon([patient] * guarantee.rounds, guarantee.delta)
    sites = enough(guarantee.a_round.noise_multiplier, values)
    return (
        f"\n{sites} sites are enough to learn something. "
        f"Each patient of a site is protected as well: epsilon {spent:.2f}."
    )


PER_PATIENT = f"""
epsilon: the same at every site; the noise is measured for one patient, not for a site's size.
delta: the chance that the guarantee fails altogether; it should stay below 1/10 of one patient (!).
noise/step: its length, in lengths of the longest sum of clipped gradients that there can be.
noise/run: the same for all steps, if every gradient pulled in one direction; n such sites together
divide it by the root of n. Above {DOUBTFUL:g} there is more noise than could ever be learnt, above
{HOPELESS:g} nothing else. Tune fewer values, take more patients into a step, or more sites."""

PER_SITE = """
noise counted on: of how many honest sites; the others may be accomplices or missing.
noise/round: length of the mean's noise, in lengths of the longest mean of clipped updates that
there can be. Above 1 a site's whole update is less than the noise."""
