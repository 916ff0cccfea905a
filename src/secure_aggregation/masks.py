"""Masks that cancel in the sum over a roster, and only there (Bonawitz et al. 2017, pairwise part).

doi:10.1145/3133956.3133982. Each pair of sites agrees on a key (X25519) and fills every slot from
it; one adds, the other subtracts. Anyone who holds the encryption key but not the sites' mask keys
sees uniform numbers in every single upload.
"""

from collections.abc import Mapping

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from src.errors import Refused
from src.secure_aggregation.prg import derive, uniform

LABEL = "mask/v1"
BLOCK = 16  # chunks at a time, so that their masks stay in the processor's cache


def pair_keys(
    own: str, private: X25519PrivateKey, public: Mapping[str, bytes], salt: bytes
) -> dict[str, bytes]:
    """The key that this site shares with each other site, by the other's certificate.

    own: SHA-256 of this site's certificate.
    public: mask keys by certificate; the site's own entry is ignored.
    Refused: a public key has small order, so that the secret would be zero for anybody who computes
        it (RFC 7748 s.6.1).
    """
    keys = {}
    for other, raw in public.items():
        if other != own:
            try:
                shared = private.exchange(X25519PublicKey.from_public_bytes(raw))
            except ValueError:
                raise Refused(
                    f"The mask key of the site with certificate {other[:16]}… gives no secret. It "
                    "was not made by this kit: call that site and the desk. Nothing was sent."
                ) from None
            pair = "".join(sorted((own, other))).encode()
            keys[other] = derive(shared, LABEL, salt=salt, info=pair)
    return keys


def mask(own: str, keys: Mapping[str, bytes], slots: np.ndarray, modulus: int) -> np.ndarray:
    """Slots (C, N) plus this site's masks, mod t."""
    total = slots.copy()  # at most 93 numbers below 2**48: no overflow of 64 bits
    for first in range(0, len(slots), BLOCK):
        block = total[first : first + BLOCK]
        for other, key in keys.items():
            stream = uniform(key, first, len(block), slots.shape[1], modulus)
            block += stream if own < other else np.uint64(modulus) - stream
        block %= np.uint64(modulus)
    return total
