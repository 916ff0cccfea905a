"""The privacy ledger: DP events of a data set, booked before anything is released.

There is one file for each site and data set, in a folder outside the workspace, so that deleting a
workspace resets nothing. Lines are chained, and each is signed with the site's key. Patients appear
only as keyed hashes (HMAC-SHA256 under a salt that never leaves the folder). All files of the
folder that share a patient are counted together: no new name, and no patient more or fewer, makes
anything unspent. A round that is begun again is counted again.

Runs of plans without differential privacy are not counted, since nothing bounds what they reveal.
"""

import fcntl
import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from src import hash_chain, require
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
from src.errors import BudgetSpent, Damaged, InputError
from src.files import write_atomically
from src.hash_chain import Entry, HashChain

KIND = "privacy-ledger/v1"
VARIABLE = "GLIOMA_LEDGER"
LOCK = "lock"
ID = "id "  # how the mark begins of which every patient has one
BOOKED = "privacy booked"  # the event in the site's audit log, with the line's hash as `head`


class Gate(Protocol):
    """What the ledger needs of a site's gate; `src.trust.gate.SiteGate` provides it."""

    certificate: x509.Certificate
    now: Callable[[], datetime]

    def sign(self, kind: str, statement: Any) -> bytes: ...
    def log(self, event: str, **details: object) -> None: ...


def folder() -> Path:
    """Where this machine's ledgers lie: in $GLIOMA_LEDGER, or in the user's state folder."""
    if named := os.environ.get(VARIABLE):
        return Path(named)
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "glioma-federation" / "ledger"


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
        """The ledger of a site's data set; it is begun if there is none.

        identifiers: what its patients are known by, see `as_opened`.
        gate: the site's, identified.
        Damaged: the folder is open to other users, a ledger in it is damaged, or its salt is lost.
        """
        folder.mkdir(parents=True, mode=0o700, exist_ok=True)
        if folder.stat().st_mode & 0o077:
            raise Damaged(f"{folder} can be read by other users: `chmod 700 {folder}`.")
        with alone(folder):
            if not (folder / SALT).is_file() and not ledger_files(folder):
                write_atomically(folder / SALT, secrets.token_bytes(32), mode=0o600)
            new = as_opened(folder, site, identifiers)
            ledger = cls(new.path, gate)
            if new.path not in {ledger_file.path for ledger_file in ledger_files(folder)}:
                ledger._write(**new.lines[0], certificate=ledger._pem())
        return ledger

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
        every = ledger_files(self.path.parent)
        for ledger_file in every:
            if ledger_file.path == self.path:
                return ledger_file, every
        raise Damaged(f"{self.path} is gone. Restore it from the backup.")

    def _renew(self) -> None:
        """Note the certificate that signs from here on, if it has changed."""
        own, _ = self._read()
        if own.certificates[-1][1] != self._pem():
            self._write("certificate", certificate=self._pem())

    def _pem(self) -> str:
        return self._gate.certificate.public_bytes(Encoding.PEM).decode()

    def _write(self, event: str, **content: Any) -> str:
        """Append a line that holds a signature over itself and over all lines before it."""
        time = self._gate.now().isoformat(timespec="seconds")

        def signed(number: int, previous: str) -> Entry:
            line = {"event": event, "time": time, **content, "n": number, "previous": previous}
            envelope = self._gate.sign(KIND, {"line": hash_chain.digest(line)})
            return {**line, "envelope": json.loads(envelope)}

        return self._chain.append_made(signed)


def signed_digest(line: Entry) -> str:
    """The digest that a line's signature covers: the line's without the signature."""
    return hash_chain.digest({key: value for key, value in line.items() if key != "envelope"})


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold the folder's lock, so that nobody books between a look and a booking.

    Ends of files that a crash has torn are mended first.
    """
    with os.fdopen(os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600), "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for path in folder.glob(FILES):
            HashChain(path).repair()
        yield
