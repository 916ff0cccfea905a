"""The aggregator's side of encrypted rounds: check uploads, add them, hand the sum down.

It holds no key. Uploads are checked before anything is stored, in processes of limited memory that
add them as they come; the sum is written as one file, so that memory does not grow with the
number of sites.
"""

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from threading import Lock
from typing import Any

from src.errors import Refused, RunStopped
from src.files import write_atomically
from src.secure_aggregation import announcements, bfv, framing, next_round, upload
from src.secure_aggregation.heads import FILE as HEADS
from src.secure_aggregation.heads import Heads
from src.secure_aggregation.protocol import ANNOUNCEMENT, DOWNLOAD, ENDED, UPDATE, Round, State
from src.secure_aggregation.round_files import BEFORE_THE_FIRST, RoundFiles, RoundRecord
from src.secure_aggregation.running_sum import RunningSum, records
from src.secure_aggregation.settings import Encryption
from src.secure_aggregation.taken import Taken

logger = logging.getLogger(__name__)

PER_RECORD = 4  # bytes of a record's length
MOST_UPLOAD_HEADER_BYTES = 16384  # of an upload: one announcement and some names


class EncryptedRounds:
    """gate: an `AggregatorGate`. values: of the model. folder: below the aggregator's local_state.

    SettingError: too few sites are enrolled for an encrypted run.
    """

    def __init__(self, encryption: Encryption, gate: Any, values: int, folder: Path) -> None:
        self.encryption = encryption
        self.gate = gate
        self.files = RoundFiles(folder)
        self.enrolled = gate.members.sites
        self.min_sites = encryption.needed(len(self.enrolled))
        self._chunks = encryption.chunks(values)
        self._parameters = encryption.fingerprint(values)
        most_record_bytes = bfv.MOST_BYTES[bfv.FRESH] + PER_RECORD
        self.most_bytes = self._chunks * most_record_bytes + MOST_UPLOAD_HEADER_BYTES
        self.sum = RunningSum(self._chunks)
        self.taken = Taken(self.files.taken)
        self.heads = Heads(folder / HEADS.name, gate.members.run, gate)
        self._lock = Lock()
        self._model: tuple[int, bytes] = (-1, b"")  # a round's download, read once for all sites
        self.round = Round()
        self.state = RoundRecord()

    def begin(self, round_number: int, *, resumed: bool) -> None:
        """Start anew, or where an interrupted run is.

        RunStopped: its state is gone, or a mask was used twice in it.
        """
        self.sum.start()
        path = self.files.record(round_number)
        if resumed and (alarm := self.taken.alarm):
            raise RunStopped(alarm)
        if resumed and path.is_file():
            self._open(round_number)
        elif round_number:
            raise RunStopped(f"{path} is missing: restore it, or start a new run.")
        else:
            self.files.clear()

    def _open(self, round_number: int) -> None:
        """Take a round's record from the disk; it is the open one from here on."""
        self.round.begin(round_number)
        self.state = self.files.read(round_number)
        self.round.to(State.OPEN)

    def _write(self, record: RoundRecord, sums: list[memoryview]) -> None:
        """Record and download of a round that is about to open."""
        download = {
            "kind": DOWNLOAD,
            "run": self.gate.members.run,
            "parameters": self._parameters,
            "round": record.round,
            "rosters": record.rosters,
            "sum": record.sum,
            "nonces": record.nonces,
        }
        self.files.write(record, framing.pack(download, sums))

    # -- before the first round --------------------------------------------------------------

    @property
    def gathered(self) -> bool:
        """Whether the first round's roster is closed."""
        return self.round.state is not State.GATHERING

    def lacks(self, site: str) -> bool:
        """Whether the first roster is still open, and this site has not announced for it."""
        return not self.gathered and not self.files.answer(BEFORE_THE_FIRST, site).is_file()

    def introduced(self, site: str, announcement: bytes) -> None:
        """Take a site's announcement for round 0. Refused: it is none.

        Later ones change nothing.
        """
        if self.gathered:
            return
        found = announcements.read(self.gate, announcement.decode(errors="replace"), 0)
        if found.site != site:
            raise Refused(f"{site} has brought the announcement of {found.site}.")
        self.heads.see([found])
        message = framing.pack({"kind": ANNOUNCEMENT, "announcement": found.text})
        write_atomically(self.files.answer(BEFORE_THE_FIRST, site), message)

    def gather(self, present: Iterable[str]) -> bool:
        """Close the first roster if all that are present have announced; whether it is closed."""
        with self._lock:
            if self.gathered:
                return True
            announced = self.files.answers(BEFORE_THE_FIRST, self.enrolled).announced
            if len(announced) < self.min_sites or not set(present) <= set(announced):
                return False
            self._write(next_round.first(announced), [])
            self._open(0)
            logger.info("Round 0 begins with %s.", ", ".join(sorted(announced)))
            return True

    # -- what sites send ---------------------------------------------------------------------

    def take(self, site: str, round_number: int, message: bytes) -> None:
        """Check one site's answer to the open round, and keep it.

        An identical repeat is fine, and what comes after the round's end changes nothing; neither
        does a mere announcement after an update. Refused: anything that is not exactly what this
        round asks of this site; nothing of it is kept then. MaskReused: a second update.
        """
        if len(message) > self.most_bytes:
            raise Refused(f"{len(message)} bytes; an upload has {self.most_bytes} at most.")
        if round_number != self.round.number:
            raise Refused(
                f"an upload for another round than {site}'s of round {self.round.number}."
            )
        header = upload.header(message, self.gate, site, round_number, self._parameters)
        with self._lock:
            if self.round.state not in (State.KEPT, *ENDED):
                self._take(site, round_number, header, message)
                return
        self.take_late(site, round_number, message)

    def _take(self, site: str, number: int, header: dict[str, Any], message: bytes) -> None:
        self.round.require("to take an answer", State.OPEN)
        path = self.files.answer(number, site)
        if path.is_file():
            self._compare(site, number, header, message)
            return
        announced = upload.check_announcement(header, self.gate, site, number)
        self.heads.see([announced] if announced else [])
        if header["kind"] == UPDATE:
            self._check_roster(site, header.get("roster"))
            self.sum.add(site, message)
            self.taken.note(site, number, message)
        elif header["kind"] != ANNOUNCEMENT:
            raise Refused(f"an upload of kind {header['kind']!r}.")
        else:
            records(message, 0)
        write_atomically(path, message)

    def take_late(self, site: str, round_number: int, message: bytes) -> None:
        """Look at an answer to a round that is over. MaskReused: it is a second update for it."""
        if len(message) > self.most_bytes or not 0 <= round_number <= self.round.number:
            return
        try:
            header = upload.header(message, self.gate, site, round_number, self._parameters)
            if header["kind"] == UPDATE:
                records(message, self._chunks)
        except Refused as refusal:
            logger.warning("%s, too late for round %d: %s", site, round_number, refusal)
            return
        with self._lock:
            if header["kind"] == UPDATE:
                self.taken.note(site, round_number, message)

    def _compare(self, site: str, number: int, header: dict[str, Any], message: bytes) -> None:
        """Another answer to a round that was answered: only the same again is taken, as nothing."""
        path = self.files.answer(number, site)
        if path.read_bytes() == message:
            return
        first, second = framing.header_of(path)["kind"], header["kind"]
        if (first, second) == (UPDATE, UPDATE):
            records(message, self._chunks)
            self.taken.note(site, number, message)
        if (first, second) != (UPDATE, ANNOUNCEMENT):
            raise Refused(f"{site} has answered round {number} already, differently.")
        logger.warning("%s: its update of round %d is here; an announcement came.", site, number)

    def _check_roster(self, site: str, digest: Any) -> None:
        roster = self._roster()
        if site not in roster.sites or digest != roster.digest.hex():
            raise Refused(f"{site}'s update is not for the roster of round {self.round.number}.")

    def _roster(self) -> announcements.Roster:
        """The open round's."""
        texts, number = self.state.rosters[str(self.round.number)], self.round.number
        return announcements.roster(
            self.gate, texts, number, self.min_sites, in_force=False, agreed=False
        )

    # -- the end of a round ------------------------------------------------------------------

    def trained(self, sites: Iterable[str]) -> list[str]:
        """Which of these sites are in the open round's roster."""
        return [site for site in self._roster().sites if site in sites]

    def updated(self, sites: Iterable[str]) -> list[str]:
        """Of those, the sites that have sent an update, not a mere announcement."""
        trained = self.trained(sites)
        updates = self.files.answers(self.round.number, trained).updates
        return [site for site in trained if site in updates]

    def close(self, sites: Iterable[str]) -> str | None:
        """End the open round; why it came to nothing, None: it did not.

        sites: whose answers count. Writes the next round's record; it becomes the open one with
        `advance`. RunStopped: too few have announced, or a limit of the plan is exceeded.
        """
        with self._lock:
            self.round.to(State.KEPT)
            roster = self._roster()
            answers = self.files.answers(self.round.number, sites)
            missing = [site for site in roster.sites if site not in answers.updates]
            self._log_spent(answers.left)
            following = next_round.follow(
                self.state, roster.sites, answers, self.encryption, self.min_sites
            )
            if missing:
                sums = self._last()
            else:
                sums = self.sum.over({site: answers.updates[site] for site in roster.sites})
            self._write(following, sums)
            self.round.to(State.VOID if missing else State.SUMMED)
            return f"no update from {', '.join(missing)}" if missing else None

    def _log_spent(self, left: Mapping[str, str]) -> None:
        for site, then in left.items():
            logger.warning("Round %d: %s has spent its budget of privacy.", self.round.number, site)
            self.gate.log("privacy spent", site=site, round=self.round.number, then=then)

    def _last(self) -> list[memoryview]:
        """The ciphertexts that the open round began with: the model stays."""
        if self.state.sum is None:
            return []
        message = self.files.model(self.round.number).read_bytes()
        return framing.records(message, count=self._chunks, most_bytes=bfv.MOST_BYTES[bfv.SUM])

    def advance(self) -> None:
        """The next round, written by `close`, is now the open one; what is older is removed."""
        with self._lock:
            ended, self._model = self.round.number, (-1, b"")
            self._open(ended + 1)
            self.sum.forget()
            self.files.forget(ended)

    def model(self, round_number: int) -> bytes:
        """What sites get as the model of the open round. Refused: asked for another round."""
        if round_number != self.round.number:
            raise Refused(
                f"the model of round {round_number} was asked for in round {self.round.number}."
            )
        with self._lock:
            if self._model[0] != round_number:
                self._model = round_number, self.files.model(round_number).read_bytes()
            return self._model[1]

    def stop(self) -> None:
        """End the processes that add."""
        self.sum.close()
