"""The heads of the sites' ledgers, as they show them in a run: none may go back.

In a private plan each announcement holds the head of its site's ledger: how many lines its journal
has, and the last one's hash. Whoever sees one keeps it: a ledger that has fewer lines later in the
run, or as many with another end, was put back to an older state or exchanged for another.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Lock
from typing import Any, Protocol

from src.errors import Refused
from src.fields import Fields
from src.files import read_own_json, write_atomically

FILE = Path("local_state/ledger_heads.json")
SHOWN, ROLLED_BACK = "ledger head", "ledger rolled back"  # events in the audit log


@dataclass(frozen=True)
class LedgerHead:
    """The head of a ledger's journal. count: of its lines. sha256: of the last one, in hex."""

    count: int
    sha256: str

    @classmethod
    def parse(cls, statement: Any) -> "LedgerHead | None":
        """The head in an announcement; None where there is none. WireError: it is no head."""
        if statement is None:
            return None
        fields = Fields(statement).only("count", "sha256")
        return cls(fields.whole("count", least=1), fields.hex("sha256", 32))


class Shown(Protocol):
    """What is needed of an announcement; `announcements.Announcement` is one."""

    @property
    def site(self) -> str: ...
    @property
    def round(self) -> int: ...
    @property
    def ledger(self) -> LedgerHead | None: ...


class Gate(Protocol):
    """What is needed of a party's gate."""

    def log(self, event: str, **details: object) -> None: ...


@dataclass(frozen=True)
class Seen:
    """A site's newest head, and the round for which it was announced."""

    round: int
    count: int
    sha256: str


class Heads:
    """The newest head of each site that this party has seen in a run.

    path: the file in which they are kept. run: another run's are forgotten.
    """

    def __init__(self, path: Path, run: str, gate: Gate) -> None:
        self.path = path
        self.run = run
        self._gate = gate
        self._lock = Lock()
        kept = read_own_json(path) if path.is_file() else {}
        heads = kept["heads"] if kept.get("run") == run else {}
        self._seen = {site: Seen(**head) for site, head in heads.items()}

    def see(self, announcements: Iterable[Shown], *, demanded: bool = False) -> None:
        """Look at the heads in announcements, log the new ones, and keep them.

        demanded: whether each must show one, since the plan is private. Refused: a ledger went
        back, or one is not shown.
        """
        with self._lock:
            before = dict(self._seen)
            for announcement in sorted(announcements, key=lambda shown: shown.round):
                self._see(announcement, demanded)
            if self._seen != before:
                heads = {site: asdict(seen) for site, seen in self._seen.items()}
                write_atomically(self.path, json.dumps({"run": self.run, "heads": heads}), 0o600)

    def _see(self, announcement: Shown, demanded: bool) -> None:
        site, head = announcement.site, announcement.ledger
        before = self._seen.get(site)
        if head is None:
            if demanded or before is not None:
                raise Refused(f"{site} shows no head of its privacy ledger, which this plan needs.")
            return
        if before is not None and announcement.round < before.round:
            return  # an older roster, shown again
        found = Seen(announcement.round, head.count, head.sha256)
        about = {"site": site, "run": self.run, **asdict(found)}
        if before is not None and (
            head.count < before.count
            or (head.count == before.count and head.sha256 != before.sha256)
        ):
            self._gate.log(ROLLED_BACK, **about, had=before.count)
            raise Refused(
                f"The ledger of {site} was rolled back: it had {before.count} lines (hash "
                f"{before.sha256[:16]}…), and now shows {head.count} (hash {head.sha256[:16]}…). "
                "What is spent there is not known: its newest ledger must be restored there."
            )
        if found != before:
            self._gate.log(SHOWN, **about)
            self._seen[site] = found
