"""A ledger file as read from disk, and the epsilon of it and of all files counted with it."""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from src import hash_chain, pem_door, require
from src.differential_privacy import accountant
from src.differential_privacy.accountant import DpEvent
from src.errors import Damaged, SettingError, WireError
from src.fields import Fields, check_form
from src.hash_chain import Entry

UNITS = ("patient", "site")
FILES = "*.jsonl"
LINE = {"event": "text", "time": "text", "envelope": "fields"}
FORMS = {
    "opened": {
        "site": "text",
        "patients": "whole",
        "identifiers": "texts",
        "salt": "text",
        "certificate": "text",
    },
    "booked": {
        "unit": "text",
        "noise_multiplier": "number",
        "sample_rate": "number",
        "steps": "whole",
        "run": "text",
        "round": "whole",
        "what": "text",
        "delta": "number",
        "epsilon": "number",
    },
}
SALT = "salt"  # the file with the key of the patients' hashes


@dataclass(frozen=True)
class LedgerFile:
    """One file of the ledger's folder, its chain checked.

    lines: as `src.hash_chain.read` returns them.
    """

    path: Path
    lines: list[Entry]

    @classmethod
    def read(cls, path: Path) -> "LedgerFile | None":
        """The file's content; None if not one line was written to it. Damaged: it is."""
        lines = hash_chain.read(path)
        if lines and lines[0].get("event") != "opened":
            raise Damaged(f"{path} does not begin as a ledger does. Restore it from the backup.")
        for line in lines:
            _check(line, f"{path}: line {line['n']}")
        return cls(path, lines) if lines else None

    @property
    def site(self) -> str:
        """The site's name when the ledger was opened."""
        return self.lines[0]["site"]

    @cached_property
    def identifiers(self) -> frozenset[str]:
        """Keyed hashes of the strings by which the data set's patients are recognised."""
        return frozenset(self.lines[0]["identifiers"])

    @property
    def patients(self) -> int:
        """The number of patients in the data set."""
        return self.lines[0]["patients"]

    @property
    def bookings(self) -> list[Entry]:
        """The lines that cost something."""
        return [line for line in self.lines if line["event"] == "booked"]

    @property
    def certificates(self) -> list[tuple[int, str]]:
        """Pairs (line, PEM): from that line on, this certificate signs."""
        return [(line["n"], line["certificate"]) for line in self.lines if "certificate" in line]

    def events(self, unit: str) -> list[DpEvent]:
        """The booked events, converted to the unit ("patient" or "site")."""
        return [
            in_unit(event_of(line), line["unit"], unit, self.patients) for line in self.bookings
        ]


def _check(line: Entry, place: str) -> None:
    """Damaged: a value is missing, or not of the type, that a line of this event has."""
    try:
        check_form(line, LINE)
        check_form(line, FORMS.get(line["event"], {}))
        if line["event"] == "booked":
            require.one_of("unit", line["unit"], UNITS)
            event_of(line)
        if "certificate" in line:
            pem_door.certificate(Fields(line).text("certificate").encode())
    except (WireError, SettingError, ValueError) as error:
        raise Damaged(f"{place} is no line of a ledger: {error} Restore it.") from None


def event_of(line: Entry) -> DpEvent:
    """The DP event that a line books, in the line's own unit."""
    return DpEvent(
        noise_multiplier=line["noise_multiplier"],
        sample_rate=line["sample_rate"],
        steps=line["steps"],
    )


def in_unit(event: DpEvent, unit: str, wanted: str, patients: int) -> DpEvent:
    """An event that protects one unit, as it counts for the other.

    For a patient: one patient changes a site's clipped update by at most twice the clip norm, so
    the noise multiplier is halved.
    For a site: group privacy. A site of n patients is a group of n, so the noise multiplier is
    divided by n (sensitivity n times as large), and amplification by sampling does not apply, since
    the group is not sampled as one (Dwork and Roth 2014, doi:10.1561/0400000042, section 2.3).
    """
    if unit == wanted:
        return event
    z, steps = event.noise_multiplier, event.steps
    if wanted == "patient":
        return DpEvent(noise_multiplier=z / 2, sample_rate=event.sample_rate, steps=steps)
    return DpEvent(noise_multiplier=z / patients, steps=steps)


def ledger_files(folder: Path) -> list[LedgerFile]:
    """Every ledger of a folder, sorted by name.

    Damaged: one is, or was written with another salt.
    """
    found = [LedgerFile.read(path) for path in sorted(folder.glob(FILES))]
    known = [ledger_file for ledger_file in found if ledger_file]
    if any(ledger_file.lines[0]["salt"] != salt_check(folder) for ledger_file in known):
        raise Damaged(
            f"{folder / SALT} is missing, or another than the ledgers beside it were written with: "
            "their patients cannot be recognised. Restore the whole folder from the backup."
        )
    return known


def salt_check(folder: Path) -> str:
    """A digest by which a ledger recognises its salt; "" if there is no salt."""
    path = folder / SALT
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def together(ledger_file: LedgerFile, among: Iterable[LedgerFile], unit: str) -> list[LedgerFile]:
    """The ledgers that are counted with this one, itself included.

    Ledgers that share a patient count together; for the unit "site", all ledgers of one site do.
    """
    return [
        other
        for other in among
        if other.identifiers & ledger_file.identifiers
        or (unit == "site" and other.site == ledger_file.site)
    ]


def epsilon_of(
    ledger_file: LedgerFile,
    among: Iterable[LedgerFile],
    delta: float,
    *,
    unit: str = "patient",
    more: Iterable[DpEvent] = (),
    bound: Callable[[Iterable[DpEvent], float], float] = accountant.epsilon,
) -> float:
    """Epsilon spent of a data set, with all that counts with it, and `more` (in `unit`) on top.

    bound: the accountant's function.
    """
    require.one_of("unit", unit, UNITS)
    counted = together(ledger_file, among, unit)
    return bound([*(r for other in counted for r in other.events(unit)), *more], delta)
