"""A site in an encrypted run: opens the sum of a round, encrypts its own update for the next.

The rules that keep one hospital's update unreadable are here: one announcement a round, no update
without a roster that holds it, no second encryption for a round, no answer to an older round, no
second look at a sum that has failed verification.
"""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from src.errors import Refused, WrongSum
from src.secure_aggregation import announcements, bfv, framing
from src.secure_aggregation.fixed_point import FixedPoint
from src.secure_aggregation.heads import FILE as HEADS
from src.secure_aggregation.heads import Heads
from src.secure_aggregation.keys import SumKeys
from src.secure_aggregation.mac import Mac
from src.secure_aggregation.mask_keys import MaskKeys, public_half
from src.secure_aggregation.mask_use import MaskUse
from src.secure_aggregation.protocol import ANNOUNCEMENT, UPDATE, Round, State
from src.secure_aggregation.settings import PAYLOAD, Encryption
from src.secure_aggregation.share import Opened, Share
from src.secure_aggregation.site_state import FILE, SiteState
from src.secure_aggregation.spent import Budget, all_pay, ledger_head, why_left
from src.secure_aggregation.verification import Download, Verification
from src.secure_aggregation.workers import Ciphers

logger = logging.getLogger(__name__)


class EncryptingSite:
    """site: its name. sizes: of the network's tensors. initial: the bundle's model, float32 (P,).

    gate: a `SiteGate`. keys: of the run. folder: the workspace, locked by this process.
    outside: the folder that outlives workspaces. Refused: no folder in memory for mask keys.
    """

    def __init__(
        self,
        encryption: Encryption,
        gate: Any,
        site: str,
        keys: SumKeys,
        sizes: Sequence[int],
        initial: Callable[[], np.ndarray],
        folder: Path,
        outside: Path,
    ) -> None:
        self.encryption = encryption
        self.gate = gate
        self.site = site
        self.initial = initial
        self.folder = folder
        self.fixed = FixedPoint(encryption.bits, bfv.plain_modulus(), tuple(sizes))
        mac = Mac(keys.mac, PAYLOAD, bfv.plain_modulus())
        self._ciphers = Ciphers(keys.he, encryption.chunks(self.fixed.size))
        self.verification = Verification(encryption, gate, self.fixed, mac, self._ciphers, initial)
        run, bundle = gate.members.run, gate.bundle.digest
        mask_keys = MaskKeys.of(folder, site, run + bundle)
        self.state = SiteState.read(folder / FILE, mask_keys, run, bundle)
        self.use = MaskUse(gate, site, self.state, outside)
        self.share = Share(encryption, gate, site, self.fixed, mac)
        begun = State.GATHERING if self.state.round < 0 else State.GATHERED
        self.round = Round(self.state.round, begun)
        self.heads = Heads(folder / HEADS, gate.members.run, gate)
        self.opened: Opened | None = None
        self.budgets: list[Budget] = []  # of privacy, none in most plans
        self._expected: int | None = None

    def expect(self, round_number: int) -> None:
        """The next model is to be this round's, and no other's."""
        self._expected = round_number

    def start(self) -> None:
        """Start the workers. RunFailed: this machine's TenSEAL does not add.

        Refused: what was sealed cannot be noted outside the workspace.
        """
        self.use.sealed.open()
        self._ciphers.start()

    def close(self) -> None:
        """End the workers."""
        self._ciphers.close()

    # -- announcements -----------------------------------------------------------------------------

    def introduction(self) -> list[bytes]:
        """The announcement for round 0, until that round has begun; then none."""
        if self.state.round >= 0:
            return []
        return [self._announcement(0, self.verification.beginning).encode()]

    def _announcement(self, round_number: int, transcript: bytes) -> str:
        """The one announcement of this site for a round: made once, kept before it is sent."""
        text = self.state.announcement(round_number)
        if not text:
            key = self.state.keys.new()
            ledger = ledger_head(self.budgets)
            text = announcements.write(self.gate, self.site, round_number, key, transcript, ledger)
            self.state.announce(round_number, public_half(key), text)
        return text

    # -- what comes down ---------------------------------------------------------------------

    def open(self, message: bytes) -> np.ndarray:
        """The model that a round starts from, verified; float32 (P,).

        Refused: of another run, older than what was opened here before, with a roster or a chain
        of rounds that does not hold, or a sum that is not exactly its roster's. The last is final.
        """
        self.state.check()
        download = self.verification.read(message)
        self._refuse_another_round(download.round)
        try:
            seen, model = self.verification.follow(download)
        except WrongSum as wrong:
            self.state.fail(str(wrong))
            self.gate.log("verification failed", site=self.site, reason=str(wrong))
            raise Refused(f"{wrong} This is final for the run; nothing of it was used.") from None
        self._compare(seen)
        shown = [a for roster in download.rosters.values() for a in roster.announcements]
        mine = download.rosters[download.round].of(self.site)
        private = mine is not None and mine.ledger is not None
        self.heads.see(shown, demanded=private)
        self._count(download)
        number = download.round
        self._go_on_to(number, download.summed)
        roster = download.rosters[number]
        revoked = announcements.revoked(self.gate, roster)
        sites = {n: found.sites for n, found in download.rosters.items()}
        self.opened = Opened(number, roster, seen[number], model, revoked, download.summed, sites)
        if number > self.state.round:
            self.state.begin(number, seen[number])
        return model

    def _refuse_another_round(self, number: int) -> None:
        if self._expected not in (None, number):
            raise Refused(f"The model is of round {number}, asked was {self._expected}.")
        if number < self.state.round:
            raise Refused(
                f"The aggregator is in round {number}; this site has begun round "
                f"{self.state.round} of this run. It answers no older round. If the aggregator "
                "was restored from a backup, the run has to be started anew."
            )

    def _compare(self, seen: dict[int, bytes]) -> None:
        """What this site has seen itself must be in the chain, where the chain reaches back."""
        own = seen.get(self.state.round)
        if own is not None and own.hex() != self.state.transcript:
            raise Refused(
                f"The federation has been split: round {self.state.round} began here with "
                "another model, or after other rounds, than the sites' announcements say."
            )

    def _count(self, download: Download) -> None:
        """Void rounds and changes of the roster, over the run as far as it was seen here."""
        voids = set(self.state.voids) | download.voids
        changes = set(self.state.changes) | download.changes
        self.state.voids, self.state.changes = sorted(voids), sorted(changes)
        reason = self.encryption.over_limit(voids, changes)
        if reason:
            raise Refused(reason)

    def _go_on_to(self, number: int, summed: int | None) -> None:
        """The download says how the round before has ended, and that this one is open."""
        if number > self.round.number:
            if self.round.number >= 0:
                void = summed is None or self.round.number > summed
                self.round.to(State.VOID if void else State.SUMMED)
            self.round.begin(number)
        if self.round.state is not State.KEPT:  # a round that was answered stays so
            self.round.to(State.OPEN)

    # -- what goes up ------------------------------------------------------------------------

    @property
    def takes_part(self) -> bool:
        """Whether this site sends an update in the opened round."""
        return not self.absence

    @property
    def absence(self) -> str:
        """Why this site only announces in the opened round; "" where it sends an update."""
        return self.use.absence(self._opened())

    def _opened(self) -> Opened:
        if self.opened is None or self.opened.round != self.state.round:
            raise Refused("There is no opened round to answer.")
        return self.opened

    @property
    def can_pay(self) -> bool:
        """Whether this site's budgets of privacy allow one more round."""
        return all_pay(self.budgets)

    def announce_only(self) -> bytes:
        """The answer of a site that is not in the round's roster: in the next one it will be.

        A site whose budget of privacy is spent announces nothing: it listens, and gets the
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
        if self.state.upload or self.absence:
            reason = self.absence if self.state.upload is None else "it has sent its update"
            raise Refused(f"Round {opened.round}: this site sends no update: {reason}.")
        self.round.require("encrypting an update", State.OPEN)
        encoded = self.share.encode(opened, model, cases)
        private = self.use.take(opened.round)
        self.gate.log("sealed", site=self.site, round=opened.round, **encoded.about)
        slots, nonce = self.share.masked(opened, encoded.payload, private)
        ciphertexts = self._ciphers.encrypt(slots)
        message = framing.pack(self._header(UPDATE) | {"nonce": nonce.hex()}, ciphertexts)
        self.round.to(State.SEALED)
        return message

    def _header(self, kind: str) -> dict[str, Any]:
        opened = self._opened()
        left = why_left(self.budgets, kind, opened.round)
        if left:
            logger.warning("The budget of privacy pays for no further round: %s.", left)
            self.gate.log("privacy spent", site=self.site, round=opened.round, then=left)
        return {
            "kind": kind,
            "run": self.gate.members.run,
            "round": opened.round,
            "site": self.site,
            "parameters": self.encryption.fingerprint(self.fixed.size),
            "roster": opened.roster.digest.hex(),
            "announcement": "" if left else self._announcement(opened.round + 1, opened.transcript),
        } | ({"left": left} if left else {})

    # -- the complete message of the round, on disk before its first byte leaves ---------------

    def keep(self, message: bytes) -> None:
        """Put the whole upload on disk: from here on the round is answered so, or not at all."""
        opened = self._opened()
        if self.state.upload:
            raise Refused(f"Round {opened.round} was answered already.")
        self.state.keep(message, opened.round, opened.salt)
        self.round.to(State.KEPT)

    def kept(self) -> bytes | None:
        """The upload that was kept for the opened round; None: there is none yet.

        Refused: it was made for another roster or from another model than are shown now.
        Damaged: it is not as it was written.
        """
        opened, upload = self._opened(), self.state.upload
        if upload is None:
            return None
        if upload["salt"] != opened.salt.hex():
            raise Refused(
                f"Round {opened.round}: the aggregator shows another roster or model than the one "
                "for which this site has sent its update. It sends nothing."
            )
        message = self.state.kept(upload)
        self.round.to(State.KEPT)
        return message
