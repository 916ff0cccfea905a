"""The privacy ledger: what was released of a data set's patients, booked before it is released.

One file for each site and data set, in a folder outside the workspace, so that deleting a workspace
resets nothing. Lines are chained and each is signed with the site's key. Patients stand in it only
as keyed hashes (HMAC-SHA256 under a salt that never leaves the folder). All files of the folder
that share a patient are counted together: no new name, no patient more or less makes anything
unspent. A round that is begun again is counted again.

Not counted: runs of plans without differential privacy. Nothing bounds what those tell.
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
from src.errors import Refused
from src.files import write_atomically
from src.hash_chain import Entry, HashChain

KIND = "privacy-ledger/v1"
VARIABLE = "GLIOMA_LEDGER"
LOCK = "lock"
ID = "id "  # how the mark begins of which every patient has one
BOOKED = "privacy booked"  # the event in the site's audit log, with the line's hash as `head`


class BudgetSpent(Refused):
    """A release that would cost more than what is left; nothing was booked."""


class Gate(Protocol):
    """What is needed of a site's gate; that of `src.trust.gate` is one."""

    certificate: x509.Certificate
    now: Callable[[], datetime]

    def sign(self, kind: str, statement: Any) -> bytes: ...
    def log(self, event: str, **details: object) -> None: ...


def folder() -> Path:
    """Where this machine's ledgers lie: $GLIOMA_LEDGER, or in the user's state folder."""
    if named := os.environ.get(VARIABLE):
        return Path(named)
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "glioma-federation" / "ledger"


def as_opened(folder: Path, site: str, identifiers: Collection[str]) -> LedgerFile:
    """The ledger_file of a data set as a ledger would be begun; nothing is written.

    identifiers: strings by which its patients are recognised, in whatever run: one `id …` for
    each, and
    others beside. They are kept as keyed hashes alone. ValueError: none, or a name that is a path.
    """
    if not identifiers or not all(identifiers) or Path(site).name != site:
        raise ValueError(
            f"expected a site and its patients, got {site!r}, {len(identifiers)} identifiers."
        )
    salt = folder / SALT
    key = salt.read_bytes() if salt.is_file() else b""
    hashes = sorted({hmac.new(key, mark.encode(), "sha256").hexdigest() for mark in identifiers})
    data_set = hashlib.sha256("".join(hashes).encode()).hexdigest()[:16]
    line = {
        "event": "opened",
        "site": site,
        "patients": len({mark for mark in identifiers if mark.startswith(ID)}) or len(hashes),
        "identifiers": hashes,
        "salt": salt_check(folder),
    }
    return LedgerFile(folder / f"{site}-{data_set}.jsonl", [line])


class Ledger:
    """One data set's. Made by `open`. Several threads and processes may use one folder."""

    def __init__(self, path: Path, gate: Gate) -> None:
        self.path = path
        self._chain = HashChain(path, mode=0o600)
        self._gate = gate

    @classmethod
    def open(cls, folder: Path, site: str, identifiers: Collection[str], gate: Gate) -> "Ledger":
        """The ledger of a site's data set, begun if there is none.

        identifiers: what its patients are known by, see `as_opened`. gate: the site's, identified.
        Refused: the folder is open to other users, a ledger in it is damaged, or its salt is lost.
        """
        folder.mkdir(parents=True, mode=0o700, exist_ok=True)
        if folder.stat().st_mode & 0o077:
            raise Refused(f"{folder} can be read by other users: `chmod 700 {folder}`.")
        with alone(folder):
            if not (folder / SALT).is_file() and not ledger_files(folder):
                write_atomically(folder / SALT, secrets.token_bytes(32), mode=0o600)
            new = as_opened(folder, site, identifiers)
            ledger = cls(new.path, gate)
            if new.path not in {ledger_file.path for ledger_file in ledger_files(folder)}:
                ledger._write(**new.lines[0], certificate=ledger._pem())
        return ledger

    def spent(self, delta: float, *, unit: str = "patient", more: Iterable[DpEvent] = ()) -> float:
        """Epsilon of everything booked of these patients, and of `more` (in `unit`) on top."""
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
        """Book a release, on disk and signed when this returns, so before any of it is made.

        Epsilon after it. BudgetSpent: that would be more than the budget; nothing was booked.
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
        """How many events of a run are booked in this file."""
        with alone(self.path.parent):
            own, _ = self._read()
        return sum(line["run"] == run for line in own.bookings)

    def _spent(self, delta: float, unit: str, more: Iterable[DpEvent]) -> float:
        own, every = self._read()
        return epsilon_of(own, every, delta, unit=unit, more=more)

    def _read(self) -> tuple[LedgerFile, list[LedgerFile]]:
        """(this data set's, all of the folder), as they stand on disk now."""
        every = ledger_files(self.path.parent)
        for ledger_file in every:
            if ledger_file.path == self.path:
                return ledger_file, every
        raise Refused(f"{self.path} is gone. Restore it from the backup.")

    def _renew(self) -> None:
        """The certificate that signs from here on, if it is another than before."""
        own, _ = self._read()
        if own.certificates[-1][1] != self._pem():
            self._write("certificate", certificate=self._pem())

    def _pem(self) -> str:
        return self._gate.certificate.public_bytes(Encoding.PEM).decode()

    def _write(self, event: str, **content: Any) -> str:
        """Append a line and, in it, the signature over all of it and over all before it."""
        time = self._gate.now().isoformat(timespec="seconds")

        def signed(number: int, previous: str) -> Entry:
            line = {"event": event, "time": time, **content, "n": number, "previous": previous}
            envelope = self._gate.sign(KIND, {"line": hash_chain.digest(line)})
            return {**line, "envelope": json.loads(envelope)}

        return self._chain.append_made(signed)


def signed_digest(line: Entry) -> str:
    """What the signature in a line must be under: the line's hash without it."""
    return hash_chain.digest({key: value for key, value in line.items() if key != "envelope"})


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """One at a time in a folder: nobody books between a look and a booking. Mends torn ends."""
    with os.fdopen(os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600), "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for path in folder.glob(FILES):
            HashChain(path).repair()
        yield
