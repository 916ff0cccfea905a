"""What a site's ledgers hold: by data set, what each run has booked, what is spent and left."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from src.differential_privacy import accountant
from src.differential_privacy.accountant import DpEvent
from src.differential_privacy.guarantee import Guarantee, reach
from src.differential_privacy.ledger_file import LedgerFile, epsilon_of, event_of, together
from src.hash_chain import Entry


@dataclass(frozen=True)
class Booked:
    """Events of one kind in one run.

    what: what was released, in words.
    rounds: how many were booked, repeated ones included.
    first, last: when.
    """

    run: str
    what: str
    unit: str
    event: DpEvent
    rounds: int
    first: str
    last: str


@dataclass(frozen=True)
class Spent:
    """Epsilon of each `unit` at delta, by RDP and by PRV.

    budget: the plan's; None without a plan.
    more: how many more rounds of the plan the budget pays for.
    """

    unit: str
    delta: float
    rdp: float
    prv: float
    budget: float | None = None
    more: int | None = None


@dataclass(frozen=True)
class DataSet:
    """One ledger.

    shared_with: the names of ledgers that share a patient and are therefore counted with it.
    """

    ledger_file: LedgerFile
    shared_with: list[str]
    booked: list[Booked]
    spent: list[Spent]


def spending(
    known: Sequence[LedgerFile], guarantees: Sequence[Guarantee], site: str
) -> list[DataSet]:
    """Every data set of a site, and those that share a patient with one of them.

    guarantees: the plan's; empty without a private plan.
    """
    own = [ledger_file for ledger_file in known if ledger_file.site == site]
    wanted = [ledger_file for ledger_file in known if any(together(ledger_file, own, "patient"))]
    return [
        DataSet(
            ledger_file,
            [
                other.path.name
                for other in together(ledger_file, known, "patient")
                if other != ledger_file
            ],
            _booked(ledger_file.bookings),
            [
                _spent(ledger_file, known, unit, guarantees)
                for unit in _units(ledger_file, guarantees)
            ],
        )
        for ledger_file in wanted
    ]


def _booked(lines: Iterable[Entry]) -> list[Booked]:
    kinds: dict[tuple, list[Entry]] = {}
    for line in lines:
        kind = line["run"], line["what"], line["unit"], event_of(line)
        kinds.setdefault(kind, []).append(line)
    return [
        Booked(run, what, unit, event, len(found), found[0]["time"], found[-1]["time"])
        for (run, what, unit, event), found in kinds.items()
    ]


def _units(ledger_file: LedgerFile, guarantees: Sequence[Guarantee]) -> list[str]:
    booked = [line["unit"] for line in ledger_file.bookings]
    return list(dict.fromkeys([*booked, *(guarantee.unit for guarantee in guarantees)])) or [
        "patient"
    ]


def _spent(
    ledger_file: LedgerFile, known: Sequence[LedgerFile], unit: str, guarantees: Sequence[Guarantee]
) -> Spent:
    """At the plan's delta; without a plan at that of the last booking, else at 1/1000."""
    whats = {line["what"] for line in ledger_file.bookings}
    fitting = [guarantee for guarantee in guarantees if guarantee.unit == unit]
    fitting.sort(key=lambda guarantee: guarantee.what not in whats)
    guarantee = fitting[0] if fitting else None
    deltas = [line["delta"] for line in ledger_file.bookings if line["unit"] == unit]
    delta = guarantee.delta if guarantee else (deltas or [1e-3])[-1]
    cost = partial(epsilon_of, ledger_file, known, delta, unit=unit)
    rdp, prv = cost(), cost(bound=accountant.epsilon_prv)
    if guarantee is None:
        return Spent(unit, delta, rdp, prv)
    more = reach(
        lambda rounds: cost(more=rounds), guarantee.a_round, guarantee.budget, 2 * guarantee.rounds
    )
    return Spent(unit, delta, rdp, prv, guarantee.budget, more)
