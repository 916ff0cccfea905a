"""A data set's account: one ledger file as read, and what it costs with all that counts with it."""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from src import hash_chain, require
from src.differential_privacy import accountant
from src.differential_privacy.accountant import Release
from src.errors import Refused
from src.hash_chain import Line

UNITS = ("patient", "site")
FILES = "*.jsonl"
SALT = "salt"  # the file with the key of the patients' hashes


@dataclass(frozen=True)
class Account:
    """One file of the ledger's folder, its chain checked. lines: as `hash_chain.read` gives them."""

    path: Path
    lines: list[Line]

    @classmethod
    def read(cls, path: Path) -> "Account | None":
        """None: not one line was written to it. Refused: it is damaged."""
        lines = hash_chain.read(path)
        first = {"site", "patients", "marks", "salt", "certificate"}
        if lines and not (lines[0].get("event") == "opened" and first <= set(lines[0])):
            raise Refused(f"{path} does not begin as a ledger does. Restore it from the backup.")
        return cls(path, lines) if lines else None

    @property
    def site(self) -> str:
        """The name under which it was opened."""
        return self.lines[0]["site"]

    @cached_property
    def marks(self) -> frozenset[str]:
        """Keyed hashes of what the data set's patients are known by."""
        return frozenset(self.lines[0]["marks"])

    @property
    def patients(self) -> int:
        """How many they are."""
        return self.lines[0]["patients"]

    @property
    def bookings(self) -> list[Line]:
        """The lines that cost something."""
        return [line for line in self.lines if line["event"] == "booked"]

    @property
    def certificates(self) -> list[tuple[int, str]]:
        """(line, PEM) of each certificate, from that line on the one that signs."""
        return [(line["n"], line["certificate"]) for line in self.lines if "certificate" in line]

    def releases(self, unit: str) -> list[Release]:
        """What was booked, as it counts for a patient or for the site."""
        return [
            in_unit(release_of(line), line["unit"], unit, self.patients) for line in self.bookings
        ]


def release_of(line: Line) -> Release:
    """The release that a line books, in the line's own unit."""
    return Release(
        noise_multiplier=line["noise_multiplier"],
        sample_rate=line["sample_rate"],
        steps=line["steps"],
    )


def in_unit(release: Release, unit: str, wanted: str, patients: int) -> Release:
    """A release that protects one unit, as it counts for the other.

    One patient changes a site's clipped update by twice the clip norm at most: half the multiplier.
    A site is all of its patients at once: their number divides the multiplier, and it does not help
    that they were sampled.
    """
    if unit == wanted:
        return release
    z, steps = release.noise_multiplier, release.steps
    if wanted == "patient":
        return Release(noise_multiplier=z / 2, sample_rate=release.sample_rate, steps=steps)
    return Release(noise_multiplier=z / patients, steps=steps)


def accounts(folder: Path) -> list[Account]:
    """Every ledger of a folder, by name. Refused: one is damaged, or the salt is not theirs."""
    found = [Account.read(path) for path in sorted(folder.glob(FILES))]
    known = [account for account in found if account]
    if any(account.lines[0]["salt"] != salt_check(folder) for account in known):
        raise Refused(
            f"{folder / SALT} is missing, or another than the ledgers beside it were written with: "
            "their patients cannot be recognised. Restore the whole folder from the backup."
        )
    return known


def salt_check(folder: Path) -> str:
    """What a ledger holds to tell whether the salt is still the one it was written with."""
    path = folder / SALT
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def together(account: Account, among: Iterable[Account], unit: str) -> list[Account]:
    """Those that are counted with it, itself included: who share a patient; of a site, its own."""
    return [
        other
        for other in among
        if other.marks & account.marks or (unit == "site" and other.site == account.site)
    ]


def epsilon_of(
    account: Account,
    among: Iterable[Account],
    delta: float,
    *,
    unit: str = "patient",
    more: Iterable[Release] = (),
    bound: Callable[[Iterable[Release], float], float] = accountant.epsilon,
) -> float:
    """What is spent of a data set, all that counts with it included, and `more` (in `unit`)."""
    require.one_of("unit", unit, UNITS)
    counted = together(account, among, unit)
    return bound([*(r for other in counted for r in other.releases(unit)), *more], delta)
