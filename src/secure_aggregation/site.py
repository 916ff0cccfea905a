"""A site in an encrypted run: opens the sum of a round, seals its own update for the next.

The rules that keep one hospital's update unreadable are here: one announcement a round, no update
without a roster that holds it, no second encryption for a round, no answer to an older round, no
second look at a sum that has failed verification.
"""

import hashlib
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from src.errors import Refused, WireError, WorkerRefused
from src.files import write_atomically
from src.secure_aggregation import announcements, bfv, framing
from src.secure_aggregation.announcements import VOID, Roster
from src.secure_aggregation.fixed_point import FixedPoint, Sum, to_residues, to_signed
from src.secure_aggregation.keys import SumKeys
from src.secure_aggregation.mac import Mac
from src.secure_aggregation.masks import mask, pair_keys
from src.secure_aggregation.protocol import ANNOUNCEMENT, DOWNLOAD, UPDATE
from src.secure_aggregation.settings import PAYLOAD, Encryption
from src.secure_aggregation.site_state import FILE, UPLOAD, SiteState
from src.secure_aggregation.workers import Ciphers

logger = logging.getLogger(__name__)


class Budget(Protocol):
    """What is needed of a budget of privacy; `src.differential_privacy.budget` has one."""

    when_spent: str

    def pays(self) -> bool: ...
    def after(self, round_number: int) -> str: ...


@dataclass(frozen=True)
class Opened:
    """What a download has told: the round, its roster, what was seen until then, the model."""

    round: int
    roster: Roster
    transcript: bytes
    model: np.ndarray


class Noise(Protocol):
    """Differential privacy: encodes an update with noise (`differential_privacy.site_level`)."""

    def encode(
        self, fixed: FixedPoint, opened: np.ndarray, model: np.ndarray, round_number: int
    ) -> np.ndarray: ...


class EncryptingSite:
    """site: its name. sizes: of the network's tensors. initial: the bundle's model, float32 (P,).

    gate: a `SiteGate`. keys: of the run. folder: the workspace. noise: set by plans that have it.
    """

    noise: Noise | None = None

    def __init__(
        self,
        encryption: Encryption,
        gate: Any,
        site: str,
        keys: SumKeys,
        sizes: Sequence[int],
        initial: Callable[[], np.ndarray],
        folder: Path,
    ) -> None:
        sites = gate.members.sites
        self.encryption = encryption
        self.min_sites = encryption.needed(len(sites))
        self.total = encryption.total(sites)
        self.gate = gate
        self.site = site
        self.folder = folder
        self.initial = initial
        self._modulus = bfv.plain_modulus()
        self.fixed = FixedPoint(encryption.bits, self._modulus, tuple(sizes))
        self._chunks = encryption.chunks(self.fixed.size)
        self._parameters = encryption.fingerprint(self.fixed.size)
        self._mac = Mac(keys.mac, PAYLOAD, self._modulus)
        self._ciphers = Ciphers(keys.he, self._chunks)
        run, bundle = gate.members.run, gate.bundle.digest
        self._start = bytes.fromhex(bundle)  # the transcript's beginning: weights included
        self.state = SiteState.read(folder / FILE, run, bundle)
        self.opened: Opened | None = None
        self.budgets: list[Budget] = []  # of privacy, none in most plans
        self._expected: int | None = None

    def expect(self, round_number: int) -> None:
        """The next model is to be this round's, and no other's."""
        self._expected = round_number

    def start(self) -> None:
        """Start the workers. RunFailed: this machine's TenSEAL does not add."""
        self._ciphers.start()

    def close(self) -> None:
        """End the workers."""
        self._ciphers.close()

    # -- announcements -----------------------------------------------------------------------------

    def introduction(self) -> list[bytes]:
        """The announcement for round 0, until that round has begun; then none."""
        if self.state.round >= 0:
            return []
        return [self._announcement(0, self._start).encode()]

    def _announcement(self, round_number: int, transcript: bytes) -> str:
        """The one announcement of this site for a round: made once, kept before it is sent."""
        text = self.state.announcement(round_number)
        if not text:
            key = self.state.new_announcement(round_number)
            text = announcements.write(self.gate, self.site, round_number, key, transcript)
            self.state.announcements[str(round_number)]["text"] = text
            self.state.save()
        return text

    # -- what comes down ---------------------------------------------------------------------

    def open(self, message: bytes) -> np.ndarray:
        """The model that a round starts from, verified; float32 (P,).

        Refused: of another run, older than what was opened here before, with a roster or a chain
        of rounds that does not hold, or a sum that is not exactly its roster's. The last is final.
        """
        self.state.check()
        try:
            header = framing.header(message)
            expected = (DOWNLOAD, self.gate.members.run, self._parameters)
            found = (header["kind"], header["run"], header["parameters"])
            if found != expected:
                raise Refused(f"expected a model of {expected}, got {found}.")
            round_number, summed = header["round"], header["sum"]
            if summed is None:
                framing.records(message, count=0, most_bytes=0)
            rosters = self._rosters(header["rosters"], round_number, summed)
        except (WireError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise Refused(f"What came as a model cannot be read: {error!r}.") from None
        if self._expected not in (None, round_number):
            raise Refused(f"The model is of round {round_number}, asked was {self._expected}.")
        if round_number < self.state.round:
            raise Refused(
                f"The aggregator is in round {round_number}; this site has begun round "
                f"{self.state.round} of this run. It answers no older round. If the aggregator "
                "was restored from a backup, the run has to be started anew."
            )
        seen, model = self._follow(message, rosters, round_number, summed)
        self._compare(seen)
        self._count(rosters, summed)
        self.opened = Opened(round_number, rosters[round_number], seen[round_number], model)
        if round_number > self.state.round:
            self.state.begin(round_number, seen[round_number])
        return model

    def _rosters(self, told: dict, round_number: int, summed: int | None) -> dict[int, Roster]:
        first = 0 if summed is None else summed
        numbers = range(first, round_number + 1)
        if len(numbers) > self.encryption.max_void + 2 or set(told) != {str(n) for n in numbers}:
            raise Refused(
                f"Round {round_number} builds on round {summed}: more than max_void "
                f"({self.encryption.max_void}) rounds between came to nothing, or a roster is "
                "missing."
            )
        return {
            n: announcements.roster(
                self.gate, told[str(n)], n, self.min_sites, in_force=n == round_number
            )
            for n in numbers
        }

    def _follow(
        self, message: bytes, rosters: dict[int, Roster], round_number: int, summed: int | None
    ) -> tuple[dict[int, bytes], np.ndarray]:
        """(transcript at the start of each round, model) after the last sum and void rounds."""
        if summed is None:
            seen = {0: self._start}
            model = self.initial()
        else:
            # who was there when the sum was made has signed what it had seen until then
            seen = {summed: rosters[summed + 1].transcript}
            payload, found = self._sum(message, rosters[summed], seen[summed])
            outcome = hashlib.sha256(payload.tobytes()).digest()
            seen[summed + 1] = announcements.extend(seen[summed], rosters[summed], outcome)
            model = found.mean()
        for number in range(max(seen), round_number):
            seen[number + 1] = announcements.extend(seen[number], rosters[number], VOID)
        for number, roster in rosters.items():
            before = max(number - 1, 0)
            if before in seen and roster.transcript != seen[before]:
                raise Refused(
                    f"The federation has been split: the sites' announcements for round {number} "
                    f"do not "
                    "follow from the rounds that were shown here."
                )
        return seen, model

    def _sum(self, message: bytes, roster: Roster, transcript: bytes) -> tuple[np.ndarray, Sum]:
        """(payload slots (C, N - 1), the sum) after every chunk's mac was checked."""
        count, longest = self._chunks, bfv.MOST_BYTES[bfv.SUM]
        try:
            slots = self._ciphers.decrypt(framing.records(message, count=count, most_bytes=longest))
        except (WireError, WorkerRefused) as error:
            raise Refused(f"The sum of round {roster.round} is damaged: {error}") from None
        payload = np.ascontiguousarray(slots[:, :PAYLOAD])
        sites = [announcement.certificate for announcement in roster.announcements]
        macs = self._mac.macs(payload, announcements.salt(transcript, roster), sites)
        wrong = np.flatnonzero(macs != slots[:, PAYLOAD])
        if len(wrong):
            self._fail(
                f"The sum of round {roster.round} is not the sum over its roster "
                f"({', '.join(roster.sites)}): {len(wrong)} of {len(macs)} macs are wrong. The "
                "aggregator or a site has changed it."
            )
        signed = to_signed(payload.reshape(-1)[: self.fixed.slots], self._modulus)
        try:
            return payload, self.fixed.decode(signed, len(roster.announcements), self.total)
        except WireError as error:
            self._fail(f"The sum of round {roster.round} is no mean: {error} A site has lied.")
            raise

    def _fail(self, reason: str) -> None:
        self.state.fail(reason)
        self.gate.log("verification failed", site=self.site, reason=reason)
        raise Refused(f"{reason} This is final for the run; nothing of it was used.")

    def _compare(self, seen: dict[int, bytes]) -> None:
        """What this site has seen itself must be in the chain, where the chain reaches back."""
        own = seen.get(self.state.round)
        if own is not None and own.hex() != self.state.transcript:
            raise Refused(
                f"The federation has been split: round {self.state.round} began here with "
                "another model, or after other rounds, than the sites' announcements say."
            )

    def _count(self, rosters: dict[int, Roster], summed: int | None) -> None:
        """Void rounds and changes of the roster, over the run as far as it was seen here."""
        numbers = sorted(rosters)
        voids = set(self.state.voids) | set(numbers[0 if summed is None else 1 : -1])
        changes = set(self.state.changes) | {
            n for n in numbers[1:] if rosters[n].sites != rosters[n - 1].sites
        }
        self.state.voids, self.state.changes = sorted(voids), sorted(changes)
        limits = (
            ("rounds came to nothing", voids, "max_void", self.encryption.max_void),
            (
                "changes of the roster",
                changes,
                "max_roster_changes",
                self.encryption.max_roster_changes,
            ),
        )
        for what, found, setting, limit in limits:
            if len(found) > limit:
                raise Refused(
                    f"{len(found)} {what} in this run (rounds {sorted(found)}), allowed are "
                    f"{limit} (compression_pipeline.{setting})."
                )

    # -- what goes up ------------------------------------------------------------------------

    @property
    def takes_part(self) -> bool:
        """Whether the opened round's roster holds this site's own announcement, unchanged."""
        opened = self._opened()
        mine = opened.roster.of(self.site)
        return mine is not None and mine.text == self.state.announcement(opened.round)

    def _opened(self) -> Opened:
        if self.opened is None or self.opened.round != self.state.round:
            raise Refused("There is no opened round to answer.")
        return self.opened

    @property
    def can_pay(self) -> bool:
        """Whether this site's budgets of privacy allow one more round."""
        return all(budget.pays() for budget in self.budgets)

    def _left(self, kind: str) -> str:
        """LEAVE, or STOP the run, where a budget ends this site's part; "" where none does."""
        round_number = self._opened().round
        for budget in self.budgets:
            left = budget.after(round_number) if kind == UPDATE else ""
            if left or (kind == ANNOUNCEMENT and not budget.pays()):
                return left or budget.when_spent
        return ""

    def announce_only(self) -> bytes:
        """The answer of a site that is not in the round's roster: in the next one it will be.

        A site whose budget of privacy is spent does not announcement: it listens, and gets the
        model.
        """
        return framing.pack(self._header(ANNOUNCEMENT))

    def seal(self, model: np.ndarray, cases: int) -> bytes:
        """The encrypted, authenticated and masked share of a trained model (P,), with the next
        announcement.

        Refused: the site is not in the roster, has more cases than its cap, has sealed this
        round's update already, or its ledger does not pay for the noised one. RunFailed: values
        that are not finite.
        """
        opened = self._opened()
        if not self.takes_part or self.state.upload:
            raise Refused(
                f"Round {opened.round}: this site is not in the roster, or has sent its update."
            )
        if self.noise is None:
            encoded = self._encoded(opened, model, cases)
        else:
            encoded = self.noise.encode(self.fixed, opened.model, model, opened.round)
            self.gate.log("sealed", site=self.site, round=opened.round, noised=True)
        payload = np.zeros((self._chunks, PAYLOAD), np.uint64)
        payload.reshape(-1)[: len(encoded)] = to_residues(encoded, self._modulus)
        own = self.gate.members.site(self.site).sha256
        salt = announcements.salt(opened.transcript, opened.roster)
        macs = self._mac.macs(payload, salt, [own])
        private = self.state.mask_key(opened.round)
        keys = pair_keys(own, private, opened.roster.mask_keys, salt)
        slots = mask(own, keys, np.column_stack([payload, macs]), self._modulus)
        return framing.pack(self._header(UPDATE), self._ciphers.encrypt(slots))

    def _encoded(self, opened: Opened, model: np.ndarray, cases: int) -> np.ndarray:
        """The slots (S,) of a model weighed by the site's cases. Refused: more than its cap."""
        cap = self.encryption.cap(self.site)
        if not 0 < cases <= cap:
            raise Refused(
                f"This site has {cases} training cases, the plan allows it 1 to {cap}: raise "
                f"compression_pipeline.cases for {self.site}; all sites approve the new plan."
            )
        rng = np.random.default_rng(list(os.urandom(32)))
        exponents = self.fixed.exponents(opened.model)
        encoded, cut_off = self.fixed.encode(model, exponents, cases, self.total, rng)
        if cut_off:
            logger.warning(
                "Round %d: %d values were cut off at their field.", opened.round, cut_off
            )
        self.gate.log("sealed", site=self.site, round=opened.round, cut_off=cut_off)
        return encoded

    def _header(self, kind: str) -> dict[str, Any]:
        opened = self._opened()
        left = self._left(kind)
        if left:
            logger.warning("The budget of privacy pays for no further round: %s.", left)
            self.gate.log("privacy spent", site=self.site, round=opened.round, then=left)
        return {
            "kind": kind,
            "run": self.gate.members.run,
            "round": opened.round,
            "site": self.site,
            "parameters": self._parameters,
            "roster": opened.roster.digest.hex(),
            "announcement": "" if left else self._announcement(opened.round + 1, opened.transcript),
        } | ({"left": left} if left else {})

    # -- the complete message of the round, on disk before its first byte leaves ---------------

    def keep(self, message: bytes) -> None:
        """Put the whole upload on disk: from here on the round is answered so, or not at all."""
        opened = self._opened()
        if self.state.upload:
            raise Refused(f"Round {opened.round} was answered already.")
        write_atomically(self.folder / "local_state" / UPLOAD.name, message, mode=0o600)
        self.state.upload = {
            "round": opened.round,
            "salt": announcements.salt(opened.transcript, opened.roster).hex(),
            "sha256": hashlib.sha256(message).hexdigest(),
        }
        self.state.save()

    def kept(self) -> bytes | None:
        """The upload that was kept for the opened round; None: there is none yet.

        Refused: it was made for another roster or from another model than are shown now.
        """
        opened, upload = self._opened(), self.state.upload
        if upload is None:
            return None
        if upload["salt"] != announcements.salt(opened.transcript, opened.roster).hex():
            raise Refused(
                f"Round {opened.round}: the aggregator shows another roster or model than the one "
                "for which this site has sent its update. It sends nothing."
            )
        message = (self.folder / "local_state" / UPLOAD.name).read_bytes()
        if hashlib.sha256(message).hexdigest() != upload["sha256"]:
            raise Refused(f"{self.folder / UPLOAD} has been altered. This site sends nothing.")
        return message
