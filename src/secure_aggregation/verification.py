"""Verification: what a download claims, followed from what this site knows to what it will believe.

A download names its round, the last sum, and the rosters from that sum on. Believed is only a sum
whose MACs fit its roster, and a chain of rosters each of which has signed what came before it.
Nothing is recorded here; the site does that.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from src.errors import Refused, WireError, WorkerRefused, WrongSum
from src.fields import Fields
from src.secure_aggregation import announcements, bfv, framing
from src.secure_aggregation.announcements import VOID, Roster
from src.secure_aggregation.fixed_point import FixedPoint, Sum, to_signed
from src.secure_aggregation.mac import NONCE_BYTES, Mac
from src.secure_aggregation.protocol import DOWNLOAD
from src.secure_aggregation.settings import PAYLOAD, Encryption
from src.secure_aggregation.workers import Ciphers


@dataclass(frozen=True)
class Download:
    """What a download says. summed: the round of its sum, None before the first. rosters: of the
    rounds from that sum, or from the beginning, to its own. nonces: of the sum's uploads, by site.
    """

    message: bytes
    round: int
    summed: int | None
    rosters: dict[int, Roster]
    nonces: dict[str, bytes]

    @property
    def voids(self) -> set[int]:
        """The rounds in it that came to nothing."""
        return set(sorted(self.rosters)[0 if self.summed is None else 1 : -1])

    @property
    def changes(self) -> set[int]:
        """The rounds in it whose roster is not that of the round before."""
        numbers = sorted(self.rosters)[1:]
        return {n for n in numbers if self.rosters[n].sites != self.rosters[n - 1].sites}


class Verification:
    """fixed, mac, ciphers: of the run's keys. initial: gives the bundle's model, float32 (P,).

    gate: a `SiteGate`.
    """

    def __init__(
        self,
        encryption: Encryption,
        gate: Any,
        fixed: FixedPoint,
        mac: Mac,
        ciphers: Ciphers,
        initial: Callable[[], np.ndarray],
    ) -> None:
        sites = gate.members.sites
        self.encryption = encryption
        self.min_sites = encryption.needed(len(sites))
        self.total = encryption.total(sites)
        self.gate = gate
        self.initial = initial
        self.beginning = bytes.fromhex(gate.bundle.digest)  # of the transcript: weights included
        self._fixed = fixed
        self._mac = mac
        self._ciphers = ciphers
        self._expected = (DOWNLOAD, gate.members.run, encryption.fingerprint(fixed.size))

    def read(self, message: bytes) -> Download:
        """What the message says, its rosters verified, its sum not yet.

        Refused: damaged, of another run, or with a roster that does not hold.
        """
        try:
            header = Fields(framing.header(message))
            found = tuple(header.text(key, most=1000) for key in ("kind", "run", "parameters"))
            if found != self._expected:
                raise Refused(f"expected a model of {self._expected}, got {found}.")
            round_number = header.whole("round")
            summed = None if header.is_none("sum") else header.whole("sum")
            if summed is None:
                framing.records(message, count=0, most_bytes=0)
            rosters = self._rosters(header.fields("rosters"), round_number, summed)
            sites = [] if summed is None else rosters[summed].sites
            nonces = _nonces(header.fields("nonces"), sites)
        except WireError as error:
            raise Refused(f"What came as a model cannot be read: {error}") from None
        return Download(message, round_number, summed, rosters, nonces)

    def _rosters(self, told: Fields, round_number: int, summed: int | None) -> dict[int, Roster]:
        first = 0 if summed is None else summed
        numbers = range(first, round_number + 1)
        fewest = 1 if summed is None else 2  # a sum is of a round before
        if not fewest <= len(numbers) <= self.encryption.max_void + 2:
            raise Refused(
                f"Round {round_number} builds on round {summed}: more than max_void "
                f"({self.encryption.max_void}) rounds between came to nothing."
            )
        told.only(*(str(n) for n in numbers))
        texts = {n: told.texts(str(n), most=bfv.MOST_SUMMANDS) for n in numbers}
        return {
            n: announcements.roster(self.gate, texts[n], n, self.min_sites, in_force=False)
            for n in numbers
        }

    def follow(self, download: Download) -> tuple[dict[int, bytes], np.ndarray]:
        """(transcript at the start of each round, model) after the last sum and void rounds.

        WrongSum: the sum is not its roster's. Refused: a roster has signed something else.
        """
        rosters, summed = download.rosters, download.summed
        if summed is None:
            seen = {0: self.beginning}
            model = self.initial()
        else:
            # who was there when the sum was made has signed what it had seen until then
            seen = {summed: rosters[summed + 1].transcript}
            payload, found = self._sum(download, rosters[summed], seen[summed])
            outcome = hashlib.sha256(payload.tobytes()).digest()
            seen[summed + 1] = announcements.extend(seen[summed], rosters[summed], outcome)
            model = found.mean()
        for number in range(max(seen), download.round):
            seen[number + 1] = announcements.extend(seen[number], rosters[number], VOID)
        for number, roster in rosters.items():
            before = max(number - 1, 0)
            if before in seen and roster.transcript != seen[before]:
                raise Refused(
                    f"The federation has been split: the sites' announcements for round {number} "
                    "do not follow from the rounds that were shown here."
                )
        return seen, model

    def _sum(self, download: Download, roster: Roster, transcript: bytes) -> tuple[np.ndarray, Sum]:
        """(payload slots (C, N - 1), the sum) after the MAC of every chunk was checked."""
        count = self.encryption.chunks(self._fixed.size)
        longest = bfv.MOST_BYTES[bfv.SUM]
        try:
            records = framing.records(download.message, count=count, most_bytes=longest)
            slots = self._ciphers.decrypt(records)
        except (WireError, WorkerRefused) as error:
            raise Refused(f"The sum of round {roster.round} is damaged: {error}") from None
        payload = np.ascontiguousarray(slots[:, :PAYLOAD])
        macs = self._macs(payload, roster, transcript, download.nonces)
        wrong = np.flatnonzero(macs != slots[:, PAYLOAD])
        if len(wrong):
            raise WrongSum(
                f"The sum of round {roster.round} is not the sum over its roster "
                f"({', '.join(roster.sites)}): {len(wrong)} of {len(macs)} macs are wrong. The "
                "aggregator or a site has changed it."
            )
        signed = to_signed(payload.reshape(-1)[: self._fixed.slots], bfv.plain_modulus())
        try:
            return payload, self._fixed.decode(signed, len(roster.announcements), self.total)
        except WireError as error:
            raise WrongSum(
                f"The sum of round {roster.round} is no mean: {error} A site has lied."
            ) from None

    def _macs(
        self, payload: np.ndarray, roster: Roster, transcript: bytes, nonces: Mapping[str, bytes]
    ) -> np.ndarray:
        """The MACs (C,) that the sum of this roster's uploads has."""
        by_certificate = {
            announcement.certificate: nonces[announcement.site]
            for announcement in roster.announcements
        }
        return self._mac.macs(payload, announcements.salt(transcript, roster), by_certificate)


def _nonces(told: Fields, sites: list[str]) -> dict[str, bytes]:
    """The nonces of exactly these sites' uploads. WireError: others, or one is none."""
    if sorted(name for name, _ in told.items()) != sites:
        raise WireError(f"expected the nonces of {', '.join(sites) or 'nobody'}.")
    return {site: bytes.fromhex(told.hex(site, NONCE_BYTES)) for site in sites}
