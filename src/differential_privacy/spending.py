"""What a site's ledgers say: by data set, what each run has booked, what is spent, what is left."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from src.differential_privacy import accountant
from src.differential_privacy.accountant import Release
from src.differential_privacy.guarantee import Promise, reach
from src.differential_privacy.ledger_file import Account, epsilon_of, release_of, together
from src.hash_chain import Line


@dataclass(frozen=True)
class Booked:
    """Releases of one kind in one run. rounds: how many are booked, repeated ones included."""

    run: str
    what: str
    unit: str
    release: Release
    rounds: int
    first: str
    last: str


@dataclass(frozen=True)
class Spent:
    """Epsilon of each `unit` at delta, by RDP and by PRV. budget: the plan's; None without one.

    more: rounds of the plan that the budget still pays for.
    """

    unit: str
    delta: float
    rdp: float
    prv: float
    budget: float | None = None
    more: int | None = None


@dataclass(frozen=True)
class DataSet:
    """One ledger. beside: names of those that are counted with it."""

    account: Account
    beside: list[str]
    booked: list[Booked]
    spent: list[Spent]


def overview(known: Sequence[Account], promises: Sequence[Promise], site: str) -> list[DataSet]:
    """Every data set of a site, and those that share a patient with one of them.

    promises: the plan's, none if it is not private.
    """
    own = [account for account in known if account.site == site]
    wanted = [account for account in known if any(together(account, own, "patient"))]
    return [
        DataSet(
            account,
            [other.path.name for other in together(account, known, "patient") if other != account],
            _booked(account.bookings),
            [_spent(account, known, unit, promises) for unit in _units(account, promises)],
        )
        for account in wanted
    ]


def _booked(lines: Iterable[Line]) -> list[Booked]:
    kinds: dict[tuple, list[Line]] = {}
    for line in lines:
        kind = line["run"], line["what"], line["unit"], release_of(line)
        kinds.setdefault(kind, []).append(line)
    return [
        Booked(run, what, unit, release, len(found), found[0]["time"], found[-1]["time"])
        for (run, what, unit, release), found in kinds.items()
    ]


def _units(account: Account, promises: Sequence[Promise]) -> list[str]:
    booked = [line["unit"] for line in account.bookings]
    return list(dict.fromkeys([*booked, *(promise.unit for promise in promises)])) or ["patient"]


def _spent(
    account: Account, known: Sequence[Account], unit: str, promises: Sequence[Promise]
) -> Spent:
    """At the plan's delta; without a plan at that of the last booking, or 1/1000."""
    whats = {line["what"] for line in account.bookings}
    fitting = [promise for promise in promises if promise.unit == unit]
    fitting.sort(key=lambda promise: promise.what not in whats)
    promise = fitting[0] if fitting else None
    deltas = [line["delta"] for line in account.bookings if line["unit"] == unit]
    delta = promise.delta if promise else (deltas or [1e-3])[-1]
    cost = partial(epsilon_of, account, known, delta, unit=unit)
    rdp, prv = cost(), cost(bound=accountant.epsilon_prv)
    if promise is None:
        return Spent(unit, delta, rdp, prv)
    more = reach(
        lambda rounds: cost(more=rounds), promise.a_round, promise.budget, 2 * promise.rounds
    )
    return Spent(unit, delta, rdp, prv, promise.budget, more)
