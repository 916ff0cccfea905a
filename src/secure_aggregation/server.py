"""The aggregator's side of encrypted rounds: check uploads, add them, hand the sum down.

It holds no key. Uploads are checked before anything is stored, in processes of limited memory that
add them as they come; the sum is written as one file, so that memory does not grow with the
number of sites. Everything needed after a power cut lies in `folder`.
"""

import json
import logging
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

from src.errors import Refused
from src.files import write_atomically
from src.secure_aggregation import announcements, bfv, framing
from src.secure_aggregation.protocol import ANNOUNCEMENT, DOWNLOAD, LEAVE, STOP, UPDATE
from src.secure_aggregation.settings import Encryption
from src.secure_aggregation.workers import Adders, WorkerRefused

logger = logging.getLogger(__name__)

PER_RECORD = 4  # bytes of a record's length
MOST_UPLOAD_HEADER_BYTES = 16384  # of an upload: one announcement and some names


class RunStopped(RuntimeError):
    """The run cannot go on; the message says why."""


@dataclass
class State:
    """round: the open one. rosters: announcements by round, from the last sum's on. sum: its
    round.
    """

    round: int = 0
    rosters: dict[str, list[str]] = field(default_factory=dict)
    sum: int | None = None
    voids: list[int] = field(default_factory=list)
    changes: list[int] = field(default_factory=list)


class EncryptedRounds:
    """gate: an `AggregatorGate`. values: of the model. folder: below the aggregator's local_state.

    ValueError: too few sites are enrolled for an encrypted run.
    """

    def __init__(self, encryption: Encryption, gate: Any, values: int, folder: Path) -> None:
        self.encryption = encryption
        self.gate = gate
        self.folder = folder
        self.enrolled = gate.members.sites
        self.min_sites = encryption.needed(len(self.enrolled))
        self._chunks = encryption.chunks(values)
        self._parameters = encryption.fingerprint(values)
        record = bfv.MOST_BYTES[bfv.FRESH] + PER_RECORD
        self.most_bytes = self._chunks * record + MOST_UPLOAD_HEADER_BYTES
        self._adders = Adders(self._chunks)
        self._added: set[str] = set()  # whose uploads are in the adders' sum
        self._lock = Lock()
        self._model: tuple[int, bytes] = (-1, b"")  # a round's download, read once for all sites
        self.state = State()

    # -- state on disk -----------------------------------------------------------------------

    def begin(self, round_number: int, *, resumed: bool) -> None:
        """Start anew, or where an interrupted run is. RunStopped: its state is gone."""
        self._adders.start()
        path = self._state_of(round_number)
        if resumed and path.is_file():
            self.state = State(**json.loads(path.read_text()))
        elif round_number:
            raise RunStopped(f"{path} is missing: restore it, or start a new run.")
        else:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _state_of(self, round_number: int) -> Path:
        return self.folder / f"round-{round_number}.json"

    def _download_of(self, round_number: int) -> Path:
        return self.folder / f"model-{round_number}.sealed"

    def _uploads_of(self, round_number: int) -> Path:
        return self.folder / f"uploads-{round_number}"

    def _write(self, state: State, sums: list[memoryview]) -> None:
        """State and download of a round that is about to begin."""
        download = {
            "kind": DOWNLOAD,
            "run": self.gate.members.run,
            "parameters": self._parameters,
            "round": state.round,
            "rosters": state.rosters,
            "sum": state.sum,
        }
        write_atomically(self._download_of(state.round), framing.pack(download, sums))
        write_atomically(self._state_of(state.round), json.dumps(state.__dict__))

    # -- before the first round --------------------------------------------------------------

    @property
    def gathered(self) -> bool:
        """Whether the first round's roster is closed."""
        return self._state_of(self.state.round).is_file()

    def lacks(self, site: str) -> bool:
        """Whether the first roster is still open, and this site has not announced for it."""
        return not self.gathered and not (self._uploads_of(-1) / site).is_file()

    def introduced(self, site: str, announcement: bytes) -> None:
        """Take a site's announcement for round 0. Refused: it is none. Later ones change
        nothing.
        """
        if self.gathered:
            return
        found = announcements.read(self.gate, announcement.decode(errors="replace"), 0)
        if found.site != site:
            raise Refused(f"{site} has brought the announcement of {found.site}.")
        write_atomically(
            self._uploads_of(-1) / site, framing.pack(self._as_announcement(found.text))
        )

    def _as_announcement(self, text: str) -> dict[str, str]:
        return {"kind": ANNOUNCEMENT, "announcement": text}

    def gather(self, present: Iterable[str]) -> bool:
        """Close the first roster if all that are present have announced; whether it is closed."""
        with self._lock:
            if self.gathered:
                return True
            announced = self._announcements(-1, self.enrolled)
            if len(announced) < self.min_sites or not set(present) <= set(announced):
                return False
            self._write(State(rosters={"0": [announced[name] for name in sorted(announced)]}), [])
            self.state = State(**json.loads(self._state_of(0).read_text()))
            logger.info("Round 0 begins with %s.", ", ".join(sorted(announced)))
            return True

    # -- what sites send ---------------------------------------------------------------------

    def take(self, site: str, round_number: int, message: bytes) -> None:
        """Check one site's answer to the open round, and keep it.

        An identical repeat is fine. Refused: anything that is not exactly what this round asks of
        this site; nothing of it is kept then.
        """
        if len(message) > self.most_bytes:
            raise Refused(f"{len(message)} bytes; an upload has {self.most_bytes} at most.")
        try:
            header = framing.header(message)
            found = {key: header[key] for key in ("run", "round", "site", "parameters")}
            kind, announcement = header["kind"], header["announcement"]
        except (framing.WireError, KeyError, TypeError) as error:
            raise Refused(f"not a sealed upload: {error!r}.") from None
        expected = {
            "run": self.gate.members.run,
            "round": round_number,
            "site": site,
            "parameters": self._parameters,
        }
        wrong = [key for key, value in expected.items() if found[key] != value]
        if wrong or round_number != self.state.round or not isinstance(announcement, str):
            raise Refused(
                f"an upload for another {', '.join(wrong) or 'round'} than {site}'s of round "
                f"{self.state.round}."
            )
        with self._lock:
            path = self._uploads_of(round_number) / site
            if path.is_file():
                if path.read_bytes() == message:
                    return
                raise Refused(f"{site} has answered round {round_number} already, differently.")
            self._check_announcement(site, announcement, header.get("left"))
            if kind == UPDATE:
                self._check_roster(site, header.get("roster"))
                self._add(site, message)
            elif kind != ANNOUNCEMENT:
                raise Refused(f"an upload of kind {kind!r}.")
            else:
                self._records(message, 0)
            write_atomically(path, message)

    def _check_announcement(self, site: str, announcement: str, left: Any) -> None:
        """An announcement of its own for the next round, or the word why it has none."""
        if not announcement:
            if left not in (LEAVE, STOP):
                raise Refused(f"{site} has brought no announcement, and does not say why.")
            return
        written = announcements.read(self.gate, announcement, self.state.round + 1)
        if written.site != site:
            raise Refused(f"{site} has brought the announcement of {written.site}.")

    def _roster(self, state: State, round_number: int) -> announcements.Roster:
        texts = state.rosters[str(round_number)]
        return announcements.roster(
            self.gate, texts, round_number, self.min_sites, in_force=False, agreed=False
        )

    def _check_roster(self, site: str, digest: Any) -> None:
        roster = self._roster(self.state, self.state.round)
        if site not in roster.sites or digest != roster.digest.hex():
            raise Refused(f"{site}'s update is not for the roster of round {self.state.round}.")

    def _records(self, message: bytes, count: int) -> list[memoryview]:
        try:
            longest = bfv.MOST_BYTES[bfv.FRESH]
            return framing.records(message, count=count, most_bytes=longest)
        except framing.WireError as error:
            raise Refused(f"a damaged upload: {error}") from None

    def _add(self, site: str, message: bytes) -> None:
        """Into the running sum. Refused: it holds anything but fresh ciphertexts."""
        records = self._records(message, self._chunks)
        if not self._adders.alive:
            self._forget()
        try:
            self._adders.add(records)
        except WorkerRefused as error:
            raise Refused(f"a damaged upload: {error}") from None
        self._added.add(site)

    # -- the end of a round ------------------------------------------------------------------

    def trained(self, sites: Iterable[str]) -> list[str]:
        """Which of these sites are in the open round's roster."""
        return [site for site in self._roster(self.state, self.state.round).sites if site in sites]

    def close(self, sites: Iterable[str]) -> str | None:
        """End the open round; why it came to nothing, None: it did not.

        sites: whose answers count. Writes the next round's state; it becomes the open one with
        `advance`. RunStopped: too few have announced, or a limit of the plan is exceeded.
        """
        with self._lock:
            state, number = self.state, self.state.round
            roster = self._roster(state, number)
            updates, answers = self._answers(number, sites)
            missing = [site for site in roster.sites if site not in updates]
            announced = {
                site: head["announcement"] for site, head in answers.items() if head["announcement"]
            }
            self._check_enough(number, announced, answers)
            following = [announced[name] for name in sorted(announced)]
            rosters = {} if not missing else dict(state.rosters)
            rosters |= {str(number): state.rosters[str(number)], str(number + 1): following}
            new = State(
                number + 1,
                rosters,
                state.sum if missing else number,
                state.voids + [number] * bool(missing),
                state.changes + [number + 1] * (sorted(announced) != roster.sites),
            )
            over = self.encryption.over_limit(new.voids, new.changes)
            if over:
                raise RunStopped(f"{over} Find out why sites are lost, then start a new run.")
            self._write(new, self._summed(updates, roster.sites) if not missing else self._last())
            return f"no update from {', '.join(missing)}" if missing else None

    def _check_enough(self, number: int, announced: dict, answers: dict[str, dict]) -> None:
        left = {site: head["left"] for site, head in answers.items() if not head["announcement"]}
        for site in left:
            logger.warning("Round %d: %s has spent its budget of privacy.", number, site)
            self.gate.log("privacy spent", site=site, round=number, then=left[site])
        if STOP in left.values():
            raise RunStopped(
                f"After round {number}, {', '.join(left)} has spent its budget of privacy, and the "
                "plan ends the run then (task_runner.local.when_spent: stop)."
            )
        if len(announced) < self.min_sites:
            spent = f" The budget of privacy is spent at {', '.join(left)}." if left else ""
            raise RunStopped(
                f"Only {len(announced)} sites have announced for round {number + 1}, "
                f"min_sites is {self.min_sites}.{spent} Start the others, then the aggregator."
            )

    def _answers(self, number: int, sites: Iterable[str]) -> tuple[dict, dict]:
        """({site: path} of updates, {site: header} of all) in a round."""
        updates, answers = {}, {}
        for site in sites:
            path = self._uploads_of(number) / site
            if path.is_file():
                answers[site] = framing.header_of(path)
                if answers[site]["kind"] == UPDATE:
                    updates[site] = path
        return updates, answers

    def _announcements(self, number: int, sites: Iterable[str]) -> dict[str, str]:
        _, answers = self._answers(number, sites)
        return {
            site: head["announcement"] for site, head in answers.items() if head["announcement"]
        }

    def _summed(self, updates: dict[str, Path], sites: list[str]) -> list[memoryview]:
        """The sum over exactly these sites: the running one if it is that, else from the files."""
        if not self._adders.alive or self._added != set(sites):
            self._forget()
            for site in sites:
                self._add(site, updates[site].read_bytes())
        sums = self._adders.sum()
        self._forget()
        return sums

    def _last(self) -> list[memoryview]:
        """The ciphertexts that the open round began with: the model stays."""
        if self.state.sum is None:
            return []
        message = self._download_of(self.state.round).read_bytes()
        return framing.records(message, count=self._chunks, most_bytes=bfv.MOST_BYTES[bfv.SUM])

    def _forget(self) -> None:
        self._adders.forget()
        self._added = set()

    def advance(self) -> None:
        """The next round, written by `close`, is now the open one; what is older is removed."""
        with self._lock:
            ended, self._model = self.state.round, (-1, b"")
            self.state = State(**json.loads(self._state_of(ended + 1).read_text()))
            shutil.rmtree(self._uploads_of(ended), ignore_errors=True)
            self._forget()
            for old in (self._state_of(ended), self._download_of(ended)):
                old.unlink(missing_ok=True)

    def model(self, round_number: int) -> bytes:
        """What sites get as the model of the open round. Refused: asked for another round."""
        if round_number != self.state.round or not self.gathered:
            raise Refused(
                f"the model of round {round_number} was asked for in round {self.state.round}."
            )
        with self._lock:
            if self._model[0] != round_number:
                self._model = round_number, self._download_of(round_number).read_bytes()
            return self._model[1]

    def close_adders(self) -> None:
        """End the processes that add."""
        self._adders.close()
