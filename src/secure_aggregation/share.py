"""A site's share of a sum: its model encoded, then authenticated and masked for encryption."""

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from src.errors import Refused
from src.secure_aggregation import announcements, bfv
from src.secure_aggregation.announcements import Roster
from src.secure_aggregation.fixed_point import FixedPoint, to_residues
from src.secure_aggregation.mac import Mac
from src.secure_aggregation.masks import mask, pair_keys
from src.secure_aggregation.settings import PAYLOAD, Encryption

logger = logging.getLogger(__name__)


class Noise(Protocol):
    """Differential privacy: encodes an update with noise (`differential_privacy.site_level`)."""

    def encode(
        self, fixed: FixedPoint, opened: np.ndarray, model: np.ndarray, round_number: int
    ) -> np.ndarray: ...


@dataclass(frozen=True)
class Opened:
    """What a download has told: the round, its roster, what was seen until then, the model.

    revoked: the sites of the roster whose certificates were revoked when it was opened.
    summed: the round whose sum the model is; None before the first.
    rosters: the sites of each round from that one on, or from the first.
    """

    round: int
    roster: Roster
    transcript: bytes
    model: np.ndarray
    revoked: tuple[str, ...] = ()
    summed: int | None = None
    rosters: Mapping[int, Sequence[str]] = field(default_factory=dict)

    @property
    def salt(self) -> bytes:
        """What masks, MACs and the kept upload of the round are bound to."""
        return announcements.salt(self.transcript, self.roster)


@dataclass(frozen=True)
class Encoded:
    """payload: slots (C, PAYLOAD). about: what the audit log says of it."""

    payload: np.ndarray
    about: Mapping[str, object]


class Share:
    """fixed, mac: of the run's keys. gate: a `SiteGate`.

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
    ) -> None:
        self.encryption = encryption
        self.gate = gate
        self.site = site
        self._fixed = fixed
        self.mac = mac
        self._total = encryption.total(gate.members.sites)
        self._modulus = bfv.plain_modulus()

    def encode(self, opened: Opened, model: np.ndarray, cases: int) -> Encoded:
        """A trained model (P,) as it will be summed; nothing is masked yet.

        Refused: more cases than the site's cap, or a ledger that does not pay for the noise.
        RunFailed: values that are not finite.
        """
        if self.noise is None:
            encoded, about = self._weighed(opened, model, cases)
        else:
            encoded = self.noise.encode(self._fixed, opened.model, model, opened.round)
            about: Mapping[str, object] = {"noised": True}
        payload = np.zeros((self.encryption.chunks(self._fixed.size), PAYLOAD), np.uint64)
        payload.reshape(-1)[: len(encoded)] = to_residues(encoded, self._modulus)
        return Encoded(payload, about)

    def _weighed(
        self, opened: Opened, model: np.ndarray, cases: int
    ) -> tuple[np.ndarray, Mapping[str, object]]:
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
        return encoded, {"cut_off": cut_off}

    def masked(
        self, opened: Opened, payload: np.ndarray, private: X25519PrivateKey
    ) -> tuple[np.ndarray, bytes]:
        """(slots (C, N): the payload with the MAC of each chunk, masked; the MACs' nonce).

        private: the site's mask key of the round, which is used here and never again.
        """
        own = self.gate.members.site(self.site).sha256
        salt, nonce = opened.salt, self.mac.nonce(payload)
        macs = self.mac.macs(payload, salt, {own: nonce})
        keys = pair_keys(own, private, opened.roster.mask_keys, salt)
        return mask(own, keys, np.column_stack([payload, macs]), self._modulus), nonce
