"""`ledger show`: by data set, what each run has booked, and what is left of the plan's budget."""

import shlex
from pathlib import Path

import click
from rich.table import Table

from src.differential_privacy.guarantee import guarantees
from src.differential_privacy.ledger import folder
from src.differential_privacy.spending import Booked, DataSet, spending
from src.plan import rules
from src.plan.sources import Sources
from src.plan.view import Plan
from src.trust.bundle import PLAN
from src.trust.ledger_check import read
from src.verbs import options
from src.verbs.options import console
from src.verbs.screen import words


@click.command()
@options.name
@options.workspace
def show(name: str, workspace: Path) -> None:
    """By data set: what each run has booked, the epsilon spent, and what is left of the plan's."""
    plan = Plan.read(workspace / PLAN)
    sources = Sources.of(workspace)
    rules.check(plan.raw, name=str(workspace / PLAN), sources=sources)
    found = spending(read(folder()), guarantees(plan, sources), name)
    for data_set in found:
        _show_data_set(data_set)
    if not found:
        console.print(f"Nothing has been booked for {name} in {folder()}.", soft_wrap=True)
    console.print(f"Ledgers: {folder()}   (keep a backup, delete none)", soft_wrap=True)
    console.print(f"Next:    python -m src ledger verify -n {shlex.quote(name)}", soft_wrap=True)


def _show_data_set(data_set: DataSet) -> None:
    ledger_file = data_set.ledger_file
    since = ledger_file.lines[0]["time"][:10]
    about = f"{ledger_file.site}, {ledger_file.patients} patients, since {since}"
    console.print(words("", ledger_file.path.name), f" {about}", soft_wrap=True)
    for other in data_set.shared_with:
        console.print(f"  shares patients with {other}, counted in", soft_wrap=True)
    if data_set.booked:
        console.print(_booked_table(data_set.booked))
    for spent in data_set.spent:
        console.print(
            words(f"  spent of each {spent.unit}: epsilon ", f"{spent.rdp:.3f}"),
            f"(by PRV {spent.prv:.3f}) at delta {spent.delta:g}",
        )
        if spent.budget is not None:
            console.print(
                f"  the plan allows {spent.budget:g}: {max(spent.budget - spent.rdp, 0):.3f} left, "
                f"which pays for {spent.more} more rounds of it"
            )
    console.print()


def _booked_table(booked: list[Booked]) -> Table:
    names = ("run", "what", "unit", "rounds", "noise", "rate", "steps", "booked")
    table = Table(*names, box=None, padding=(0, 1, 0, 2))
    for entry in booked:
        event = entry.event
        days = dict.fromkeys((entry.first[:10], entry.last[:10]))
        table.add_row(
            entry.run[:8],
            entry.what,
            entry.unit,
            f"{entry.rounds}",
            f"{event.noise_multiplier:.3f}",
            f"{event.sample_rate:g}",
            f"{event.steps}",
            " – ".join(days),
        )
    return table
