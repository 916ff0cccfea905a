"""The privacy ledger: DP events of a data set, booked before anything is released.

There is one file for each site and data set, in a folder outside the workspace, so that deleting a
workspace resets nothing. Lines are chained, and each is signed with the site's key. Patients appear
only as keyed hashes (HMAC-SHA256 under a salt that never leaves the folder). All files of the
folder that share a patient are counted together: no new name, and no patient more or fewer, makes
anything unspent. A round that is begun again is counted again. A folder must have been begun, by
`python -m src ledger begin`, before the first ledger is opened in it (`journal`).

Runs of plans without differential privacy are not counted, since nothing bounds what they reveal.
"""

import hashlib
import hmac
import os
import secrets
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from src import account, disk, require
from src.differential_privacy import journal
from src.differential_privacy.accountant import DpEvent
from src.differential_privacy.ledger_file import (
    FILES,
    SALT,
    UNITS,
    LedgerFile,
    epsilon_of,
    ledger_files,
    salt_check,
)
from src.differential_privacy.signed_lines import Gate, append_signed, pem
from src.errors import BudgetSpent, Damaged, InputError
from src.files import write_atomically
from src.hash_chain import HashChain
from src.secure_aggregation.heads import LedgerHead

VARIABLE = "GLIOMA_LEDGER"
LOCK = "lock"
ID = "id "  # how the mark begins of which every patient has one
BOOKED = "privacy booked"  # the event in the site's audit log, with the line's hash as `head`


def folder() -> Path:
    """Where this machine's ledgers lie: in $GLIOMA_LEDGER, or in the user's state folder.

    InputError: no folder is named, and this user has no home.
    """
    if named := os.environ.get(VARIABLE):
        return Path(named)
    home = account.home()
    if state := os.environ.get("XDG_STATE_HOME") or (home and home / ".local" / "state"):
        return Path(state) / "glioma-federation" / "ledger"
    raise InputError(
        f"This user (uid {os.geteuid()}) has no home, where ledgers and the note of sealed rounds "
        f"would lie. Set {VARIABLE} to a folder that outlives this container or job."
    )


def begin(folder: Path, site: str, gate: Gate, *, by: str, why: str) -> int:
    """Begin the ledgers of a folder; how many lines of earlier ledgers were found and taken over.

    by: who begins it. why: why there is none yet. Both are recorded, under the site's signature.
    InputError: it was begun before. Damaged: the folder is open to others, or a ledger is damaged.
    """
    folder.mkdir(parents=True, mode=0o700, exist_ok=True)
    _refuse_open(folder)
    with alone(folder):
        found = ledger_files(folder)
        if not (folder / SALT).is_file() and not found:
            write_atomically(folder / SALT, secrets.token_bytes(32), mode=0o600)
        taken_over = journal.begin(folder, found, gate, site, by, why)
    gate.log("ledger begun", by=by, why=why, taken_over=taken_over)
    return taken_over


def _refuse_open(folder: Path) -> None:
    if folder.stat().st_mode & 0o077:
        raise Damaged(f"{folder} can be read by other users: `chmod 700 {folder}`.")


def as_opened(folder: Path, site: str, identifiers: Collection[str]) -> LedgerFile:
    """A data set's ledger as it would be begun; nothing is written.

    identifiers: strings by which its patients are recognised in any run: one `id …` for each
        patient, and others beside. Only their keyed hashes are kept.
    InputError: there are none, or the site's name is a path.
    """
    if not identifiers or not all(identifiers) or Path(site).name != site:
        raise InputError(
            f"expected a site and its patients, got {site!r}, {len(identifiers)} identifiers."
        )
    salt = folder / SALT
    key = salt.read_bytes() if salt.is_file() else b""
    hashes = sorted(
        {hmac.new(key, identifier.encode(), "sha256").hexdigest() for identifier in identifiers}
    )
    data_set = hashlib.sha256("".join(hashes).encode()).hexdigest()[:16]
    line = {
        "event": "opened",
        "site": site,
        "patients": len({identifier for identifier in identifiers if identifier.startswith(ID)})
        or len(hashes),
        "identifiers": hashes,
        "salt": salt_check(folder),
    }
    return LedgerFile(folder / f"{site}-{data_set}.jsonl", [line])


class Ledger:
    """The ledger of one data set, made by `open`. Threads and processes may share its folder."""

    def __init__(self, path: Path, gate: Gate) -> None:
        self.path = path
        self._chain = HashChain(path, mode=0o600)
        self._gate = gate

    @classmethod
    def open(cls, folder: Path, site: str, identifiers: Collection[str], gate: Gate) -> "Ledger":
        """The ledger of a site's data set; it is opened if there is none yet.

        identifiers: what its patients are known by, see `as_opened`.
        gate: the site's, identified.
        Refused: the folder was not begun. Damaged: it is open to other users, a ledger in it is
        damaged, lost or put back to an older state, or its salt is lost.
        """
        journal.read(folder)
        _refuse_open(folder)
        with alone(folder):
            known = ledger_files(folder)
            journal.compare(folder, journal.read(folder), known)
            journal.catch_up(folder, known)
            new = as_opened(folder, site, identifiers)
            ledger = cls(new.path, gate)
            if new.path not in {ledger_file.path for ledger_file in known}:
                ledger._write(**new.lines[0], certificate=pem(gate))
        return ledger

    def head(self) -> LedgerHead:
        """The head of the folder's journal, which other parties may see."""
        with alone(self.path.parent):
            return journal.head(journal.read(self.path.parent))

    def spent(self, delta: float, *, unit: str = "patient", more: Iterable[DpEvent] = ()) -> float:
        """Epsilon of all that was booked of these patients, with `more` (in `unit`) on top."""
        with alone(self.path.parent):
            return self._spent(delta, unit, more)

    def book(
        self,
        event: DpEvent,
        *,
        unit: str,
        run: str,
        round_number: int,
        delta: float,
        budget: float,
        what: str,
    ) -> float:
        """Book an event; it is on disk and signed when this returns. Return epsilon after it.

        BudgetSpent: epsilon would exceed the budget; nothing was booked.
        """
        require.one_of("unit", unit, UNITS)
        with alone(self.path.parent):
            before = self._spent(delta, unit, ())
            after = self._spent(delta, unit, [event])
            if not after <= budget:
                raise BudgetSpent(
                    f"{what} of round {round_number} would bring what is known of each {unit} to "
                    f"epsilon {after:.3f} at delta {delta:g}; the plan allows {budget:g}, and "
                    f"{before:.3f} is spent. Nothing was released. See python -m src ledger show."
                )
            self._renew()
            head = self._write(
                "booked",
                unit=unit,
                noise_multiplier=event.noise_multiplier,
                sample_rate=event.sample_rate,
                steps=event.steps,
                run=run,
                round=round_number,
                what=what,
                delta=delta,
                epsilon=after,
            )
        self._gate.log(
            BOOKED, ledger=self.path.name, head=head, run=run, round=round_number, epsilon=after
        )
        return after

    def booked(self, run: str) -> int:
        """How many events of a run this file holds."""
        with alone(self.path.parent):
            own, _ = self._read()
        return sum(line["run"] == run for line in own.bookings)

    def _spent(self, delta: float, unit: str, more: Iterable[DpEvent]) -> float:
        own, every = self._read()
        return epsilon_of(own, every, delta, unit=unit, more=more)

    def _read(self) -> tuple[LedgerFile, list[LedgerFile]]:
        """(this data set's ledger, all ledgers of the folder), as they stand on disk now."""
        folder = self.path.parent
        every = ledger_files(folder)
        own = [ledger_file for ledger_file in every if ledger_file.path == self.path]
        if not own:
            raise Damaged(f"{self.path} is gone. Restore it from the backup.")
        journal.compare(folder, journal.read(folder), every)
        return own[0], every

    def _renew(self) -> None:
        """Note the certificate that signs from here on, if it has changed."""
        own, _ = self._read()
        if own.certificates[-1][1] != pem(self._gate):
            self._write("certificate", certificate=pem(self._gate))

    def _write(self, event: str, **content: Any) -> str:
        """Append a signed line, and note it in the journal; return its hash."""
        number, sha256 = append_signed(self._chain, self._gate, event, **content)
        journal.note(self.path.parent, self.path.name, number, sha256)
        return sha256


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold the folder's lock, so that nobody books between a look and a booking.

    Ends of files that a crash has torn are mended first. NoLocks: the folder's filesystem has none.
    """
    with os.fdopen(os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600), "wb") as lock:
        disk.lock(lock, folder / LOCK)
        for path in (*folder.glob(FILES), folder / journal.FILE):
            HashChain(path).repair()
        yield
