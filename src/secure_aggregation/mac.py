"""MAC: one slot of each chunk that only holders of the sites' key can make, and that adds up too.

A linear message authentication code (Wegman, Carter 1981, doi:10.1016/0022-0000(81)90033-7): mac =
<r, m> + pad mod t, where r is secret and fixed, and the pad is new for each chunk of each upload.
The sum's MAC fits the sum's values and its uploads' pads; any other change passes once in 2^48
attempts.

A pad that is used twice is the end of that: the difference of two uploads then has the MAC <r, m1 -
m2>, and any multiple of it can be added to a sum without a key. So an upload's pad follows from its
nonce, which nobody needs to keep secret or to remember: a site that was set back to an earlier
moment draws another one.
"""

import hashlib
import os
from collections.abc import Mapping

import numpy as np

from src.secure_aggregation.prg import derive, uniform

LIMB = 16  # bits; products of limbs and their sums stay exact in float64
BLOCK = 16  # chunks at a time, so that their limbs stay in the processor's cache
NONCE_BYTES = 16


class Mac:
    """The MAC of one run.

    key: 32 bytes.
    length: payload slots of a chunk.
    modulus: t, a prime.
    """

    def __init__(self, key: bytes, length: int, modulus: int) -> None:
        self._key = key
        self._modulus = modulus
        (weights,) = uniform(derive(key, "mac-weights/v1"), 0, 1, length, modulus)
        self._limbs = _limbs(weights).T  # (length, 3)

    def nonce(self, payload: np.ndarray) -> bytes:
        """A nonce for an upload of `payload` (C, length): random, and bound to what it is for.

        Both, because a copied virtual machine may go on twice with one state of its random
        generator; its two uploads have two nonces all the same, unless they are equal.
        """
        drawn = os.urandom(32) + hashlib.sha256(np.ascontiguousarray(payload).data).digest()
        return derive(self._key, "mac-nonce/v1", info=drawn)[:NONCE_BYTES]

    def macs(self, payload: np.ndarray, salt: bytes, nonces: Mapping[str, bytes]) -> np.ndarray:
        """The MACs (C,) uint64 of `payload` (C, length), taken as the sum of these uploads.

        salt: of the round.
        nonces: of the uploads, by SHA-256 of their sites' certificates (all of one length); for
            one site's own upload, its own alone.
        """
        chunks = len(payload)
        total = np.zeros(chunks, object)
        for first in range(0, chunks, BLOCK):
            block = slice(first, first + BLOCK)
            for power, limb in enumerate(_limbs(payload[block])):
                dots = (limb @ self._limbs).astype(np.int64).astype(object)  # (C, 3)
                for other in range(3):
                    total[block] += dots[:, other] << (LIMB * (power + other))
        for site, nonce in nonces.items():
            pad = derive(self._key, "mac-pad/v2", salt=salt, info=site.encode() + nonce)
            total += uniform(pad, 0, 1, chunks, self._modulus)[0].astype(object)
        return (total % self._modulus).astype(np.uint64)


def _limbs(numbers: np.ndarray) -> np.ndarray:
    """Numbers as three limbs of 16 bits, float64 (3, *shape)."""
    limbs = np.ascontiguousarray(numbers, "<u8").view("<u2").reshape(*numbers.shape, 4)
    return np.moveaxis(limbs, -1, 0)[:3].astype(np.float64)
