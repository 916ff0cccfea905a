"""A site's share of a sum: its model encoded, authenticated and masked, ready to be encrypted."""

import logging
import os
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from src.errors import Refused
from src.secure_aggregation import announcements, bfv
from src.secure_aggregation.announcements import Roster
from src.secure_aggregation.fixed_point import FixedPoint, to_residues
from src.secure_aggregation.mac import Mac
from src.secure_aggregation.masks import mask, pair_keys
from src.secure_aggregation.settings import PAYLOAD, Encryption
from src.secure_aggregation.site_state import SiteState

logger = logging.getLogger(__name__)


class Noise(Protocol):
    """Differential privacy: encodes an update with noise (`differential_privacy.site_level`)."""

    def encode(
        self, fixed: FixedPoint, opened: np.ndarray, model: np.ndarray, round_number: int
    ) -> np.ndarray: ...


@dataclass(frozen=True)
class Opened:
    """What a download has told: the round, its roster, what was seen until then, the model."""

    round: int
    roster: Roster
    transcript: bytes
    model: np.ndarray

    @property
    def salt(self) -> bytes:
        """What masks, MACs and the kept upload of the round are bound to."""
        return announcements.salt(self.transcript, self.roster)


class Share:
    """fixed, mac: of the run's keys. gate: a `SiteGate`. state: holds the mask keys.

    noise: set by plans that have it.
    """

    noise: Noise | None = None

    def __init__(
        self,
        encryption: Encryption,
        gate: Any,
        site: str,
        fixed: FixedPoint,
        mac: Mac,
        state: SiteState,
    ) -> None:
        self.encryption = encryption
        self.gate = gate
        self.site = site
        self._fixed = fixed
        self._mac = mac
        self._state = state
        self._total = encryption.total(gate.members.sites)
        self._modulus = bfv.plain_modulus()

    def slots(self, opened: Opened, model: np.ndarray, cases: int) -> np.ndarray:
        """Slots (C, N) of a trained model (P,), with the MAC of each chunk, masked.

        Refused: more cases than the site's cap, or a ledger that does not pay for the noise.
        RunFailed: values that are not finite.
        """
        if self.noise is None:
            encoded = self._encoded(opened, model, cases)
        else:
            encoded = self.noise.encode(self._fixed, opened.model, model, opened.round)
            self.gate.log("sealed", site=self.site, round=opened.round, noised=True)
        return self._masked(opened, encoded)

    def _encoded(self, opened: Opened, model: np.ndarray, cases: int) -> np.ndarray:
        """The slots (S,) of a model weighed by the site's cases. Refused: more than its cap."""
        cap = self.encryption.cap(self.site)
        if not 0 < cases <= cap:
            raise Refused(
                f"This site has {cases} training cases, the plan allows it 1 to {cap}: raise "
                f"compression_pipeline.cases for {self.site}; all sites approve the new plan."
            )
        rng = np.random.default_rng(list(os.urandom(32)))
        exponents = self._fixed.exponents(opened.model)
        encoded, cut_off = self._fixed.encode(model, exponents, cases, self._total, rng)
        if cut_off:
            logger.warning(
                "Round %d: %d values were cut off at their field.", opened.round, cut_off
            )
        self.gate.log("sealed", site=self.site, round=opened.round, cut_off=cut_off)
        return encoded

    def _masked(self, opened: Opened, encoded: np.ndarray) -> np.ndarray:
        payload = np.zeros((self.encryption.chunks(self._fixed.size), PAYLOAD), np.uint64)
        payload.reshape(-1)[: len(encoded)] = to_residues(encoded, self._modulus)
        own = self.gate.members.site(self.site).sha256
        salt = opened.salt
        macs = self._mac.macs(payload, salt, [own])
        private = self._state.mask_key(opened.round)
        keys = pair_keys(own, private, opened.roster.mask_keys, salt)
        return mask(own, keys, np.column_stack([payload, macs]), self._modulus)
