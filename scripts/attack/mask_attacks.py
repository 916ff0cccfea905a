"""Masks used twice: a site is made to encrypt one round again, and sums are forged from what comes.

Site one answers a round; then its files are set to what they were at an earlier step, in each of
four ways, and it is started again. Where no second update comes, what prevented it is put back as
well (its memory, and its note outside the workspace), so that the nonce alone is left; and at last
the nonce is held fixed, as a control.
"""

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from scripts.attack.set_back import MEMORY, OUTSIDE, STEPS, WORKSPACE, Attacked
from src.errors import RunFailed
from src.secure_aggregation import bfv, framing

TRIES = 25  # forged sums a way; multiples of the difference, which the noise of BFV leaves room for
DISK, FROZEN = (WORKSPACE, OUTSIDE), (WORKSPACE, OUTSIDE, MEMORY)


@dataclass(frozen=True)
class Row:
    """What came of one way.

    attempts: times that the site was started again. seconds: updates of those that differ from the
    first. one_pad: of those, how many had the first one's nonce, and so its pad.
    difference: slots of 4096 that are not zero in the difference of two updates, to whoever holds
    the key of sums, once everything was put back. tries, accepted: forged sums, and how many of
    them a site took, then. control: how many of as many it takes where the nonce is fixed.
    """

    way: str
    attempts: int
    seconds: int
    one_pad: int
    difference: int
    tries: int
    accepted: int
    control: int


def ways(attacked: Attacked) -> Iterator[tuple[str, list[bytes | None]]]:
    """Each way in which a site may come to encrypt a round again, and what came of each attempt."""

    def again(step: str, back: tuple[str, ...], *, memory: bool = True) -> bytes | None:
        with attacked.started(step, back, memory=memory) as site:
            return attacked.second(site)

    yield "started twice", [attacked.second(attacked.twin), again("sent", ())]
    backups = [(step, back) for back in ((WORKSPACE,), DISK) for step in STEPS]
    yield "restored from a backup", [again(step, back) for step, back in backups]
    yield "copied to another machine", [again(step, DISK, memory=False) for step in STEPS]
    yield "frozen, and gone on twice", [again(step, FROZEN) for step in ("announced", "opened")]


def forged(attacked: Attacked, nonce: bytes | None = None) -> tuple[int, int]:
    """(how many of TRIES forged sums a site takes, slots of the difference), with all put back."""
    with attacked.started("opened", FROZEN) as site:
        second = attacked.second(site, nonce)
    if second is None:
        raise RunFailed("Even with everything put back the site has made no second update.")
    accepted = sum(
        attacked.accepts(second, 1 + number, nonce_of_second=number % 2 == 1)
        for number in range(TRIES)
    )
    return accepted, attacked.difference(second)


def carry_out() -> list[Row]:
    """A row for each way."""
    folder = Path(tempfile.mkdtemp(prefix="masks-"))
    attacked = Attacked(folder)
    first = bytes.fromhex(framing.header(attacked.first)["nonce"])
    rows = []
    try:
        for way, attempts in ways(attacked):
            seconds = [message for message in attempts if message is not None]
            one_pad = [m for m in seconds if framing.header(m)["nonce"] == first.hex()]
            accepted, difference = forged(attacked)
            control, _ = forged(attacked, first)
            counts = (len(attempts), len(seconds), len(one_pad), difference)
            rows.append(Row(way, *counts, TRIES, accepted, control))
    finally:
        attacked.close()
        shutil.rmtree(folder, ignore_errors=True)
    return rows


def show(console: Console, rows: list[Row]) -> None:
    """A row for each way, and what the columns mean."""
    heads = ("way", "started again", "second updates", "with one pad")
    table = Table(*heads, "forged sums taken", "with a fixed nonce", box=None, pad_edge=False)
    for row in rows:
        counts = (row.attempts, row.seconds, row.one_pad)
        taken = (f"{row.accepted} of {row.tries}", f"{row.control} of {row.tries}")
        table.add_row(row.way, *map(str, counts), *taken)
    console.print(table)
    console.print(
        "Forged sums: tried with a second update that the site makes once its memory and its note "
        "outside the\nworkspace are put back too. Then whoever has the key of sums also reads the "
        f"difference of the two updates\n({rows[-1].difference} of {bfv.N} slots are filled in it; "
        "all of them would be, were the masks two)."
    )
