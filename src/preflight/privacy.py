"""Differential privacy: what a start would spend, whether it is left, and whether books hold."""

import os
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from src.differential_privacy.guarantee import Promise, promises, reach
from src.differential_privacy.ledger import VARIABLE, as_opened, folder
from src.differential_privacy.ledger_file import Account, epsilon_of, together
from src.plan import plan as plans
from src.preflight.data import LOADER, data_folder
from src.preflight.finding import Patient, State
from src.trust import ledger_check


def privacy(patient: Patient) -> Iterator[tuple[State, str]]:
    """Of a private plan, at a site: ledgers verified, and each promise against what is left."""
    promised = promises(patient.plan)
    if not promised:
        yield "ok", "the plan promises no differential privacy"
        return
    if patient.name is None:
        rounds = patient.plan["aggregator"]["settings"]["rounds_to_train"]
        for promise in promised:
            yield "ok", promise.part.promise(rounds)
        return
    place = folder()
    yield from _place(place, patient.workspace)
    found = list(ledger_check.check(place, patient.workspace, patient.now))
    yield from (finding for finding in found if finding[0] != "ok")
    known = ledger_check.read(place)
    yield "ok", f"{place}: {len(known)} ledgers, chains and signatures hold, none is missing"
    if patient.plan["data_loader"]["template"] != LOADER:
        return
    site = plans.build(patient.plan["data_loader"], data_path=str(data_folder(patient)))
    for promise in promised:
        if marks := site.marks(promise.of):
            own = as_opened(place, patient.name, marks)
            yield _paid(promise, own, known, patient.members.run)


def _place(place: Path, workspace: Path) -> Iterator[tuple[State, str]]:
    """The folder can be written, and does not go with the workspace."""
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


def _paid(promise: Promise, own: Account, known: Sequence[Account], run: str) -> tuple[State, str]:
    """What is spent, and how far what is left reaches."""
    others = [account for account in known if account.path != own.path]
    same = [account for account in known if account.path == own.path]
    own = same[0] if same else own
    cost = partial(epsilon_of, own, [own, *others], promise.delta, unit=promise.unit)
    begun = sum(
        line["run"] == run and line["unit"] == promise.unit
        for account in together(own, known, promise.unit)
        for line in account.bookings
    )
    ahead = max(promise.rounds - begun, 0)
    more = reach(lambda rounds: cost(more=rounds), promise.a_round, promise.budget, ahead)
    spent = (
        f"{promise.what}: epsilon {cost():.3f} of each {promise.unit} is spent, and this run's "
        f"{ahead} rounds bring it to {cost(more=[promise.a_round] * ahead):.3f}; the plan allows "
        f"{promise.budget:g} (delta {promise.delta:g})"
    )
    if more == ahead:
        return "ok", spent
    if more or begun:
        return "warn", f"{spent}: it pays for {more} of them, then this site only listens."
    return "fail", (
        f"{spent}: it does not pay for one. Take part without these patients, or with a plan that "
        "spends less. See python -m src ledger show."
    )
