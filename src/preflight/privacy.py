"""Rules about differential privacy: what a start would spend, what is left, and the ledgers."""

import os
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from src.differential_privacy.guarantee import Guarantee, guarantees, reach
from src.differential_privacy.ledger import VARIABLE, as_opened, folder
from src.differential_privacy.ledger_file import LedgerFile, epsilon_of, together
from src.plan import plan as plans
from src.preflight.data import LOADER, data_folder
from src.preflight.finding import Examination, State
from src.trust import ledger_check


def privacy(examination: Examination) -> Iterator[tuple[State, str]]:
    """At a site, verify the ledgers of a private plan, and compare its guarantees with the rest."""
    in_plan = guarantees(examination.plan, examination.sources)
    if not in_plan:
        yield "ok", "the plan guarantees no differential privacy"
        return
    if examination.name is None:
        rounds = examination.plan.rounds
        for guarantee in in_plan:
            yield "ok", guarantee.part.describe(rounds)
        return
    place = folder()
    yield from _place(place, examination.workspace)
    found = list(ledger_check.check(place, examination.workspace, examination.now))
    yield from (finding for finding in found if finding[0] != "ok")
    known = ledger_check.read(place)
    yield "ok", f"{place}: {len(known)} ledgers, chains and signatures hold, none is missing"
    if examination.plan.loader["template"] != LOADER:
        return
    settings = examination.plan.settings("data_loader")
    cache = str(examination.workspace / settings.get("cache", "cache"))
    loader = {**examination.plan.loader, "settings": {**settings, "cache": cache}}
    site = plans.build(loader, data_path=str(data_folder(examination)))
    for guarantee in in_plan:
        if identifiers := site.identifiers(guarantee.of):
            own = as_opened(place, examination.name, identifiers)
            yield _paid(guarantee, own, known, examination.members.run)


def _place(place: Path, workspace: Path) -> Iterator[tuple[State, str]]:
    """Whether the ledgers' folder can be written to, and lies outside the workspace."""
    if place.resolve().is_relative_to(workspace.resolve()):
        yield (
            "fail",
            f"the ledgers lie in the workspace ({place}): whoever deletes it loses count. Set "
            f"{VARIABLE} to a folder outside, and move them there.",
        )
    there = next(path for path in (place, *place.parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        yield (
            "fail",
            f"{place} cannot be written to; nothing may be released that is not booked. Give this "
            f"user the folder (mode 0700), or set {VARIABLE} to another.",
        )


def _paid(
    guarantee: Guarantee, own: LedgerFile, known: Sequence[LedgerFile], run: str
) -> tuple[State, str]:
    """How much is spent, and how many rounds the rest pays for."""
    others = [ledger_file for ledger_file in known if ledger_file.path != own.path]
    same = [ledger_file for ledger_file in known if ledger_file.path == own.path]
    own = same[0] if same else own
    cost = partial(epsilon_of, own, [own, *others], guarantee.delta, unit=guarantee.unit)
    begun = sum(
        line["run"] == run and line["unit"] == guarantee.unit
        for ledger_file in together(own, known, guarantee.unit)
        for line in ledger_file.bookings
    )
    ahead = max(guarantee.rounds - begun, 0)
    more = reach(lambda rounds: cost(more=rounds), guarantee.a_round, guarantee.budget, ahead)
    spent = (
        f"{guarantee.what}: epsilon {cost():.3f} of each {guarantee.unit} is spent, and this run's "
        f"{ahead} rounds bring it to {cost(more=[guarantee.a_round] * ahead):.3f}; the plan allows "
        f"{guarantee.budget:g} (delta {guarantee.delta:g})"
    )
    if more == ahead:
        return "ok", spent
    if more or begun:
        return "warn", f"{spent}: it pays for {more} of them, then this site only listens."
    return "fail", (
        f"{spent}: it does not pay for one. Take part without these patients, or with a plan that "
        "spends less. See python -m src ledger show."
    )
