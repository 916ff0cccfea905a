"""The rule of encrypted plans: the next model is the sum of updates that nobody here can read.

OpenFL's database holds a token (SHA-256) in place of each encrypted model. The bytes lie in files,
and `src.secure_aggregation.server` has a process of its own add them. No rule that looks into
single updates can run.
"""

import hashlib
from collections.abc import Sequence

import numpy as np

from src.errors import PlanError
from src.plan.parts import Declares

TOKEN_BYTES = 32


def token(message: bytes) -> np.ndarray:
    """The value that stands for an encrypted message in OpenFL's database: uint8 (32,)."""
    return np.frombuffer(hashlib.sha256(message).digest(), np.uint8)


class EncryptedSum:
    """The rule of encrypted plans. Numbers of cases count inside the ciphertexts, not here."""

    DECLARES = Declares(encrypted=True, mean=True)

    def combine(self, models: Sequence[np.ndarray], weights: Sequence[float]) -> np.ndarray:
        """The token of the round's result, from the tokens of its uploads.

        PlanError: one is no token, so something unencrypted has come this far.
        """
        for found in models:
            if found.dtype != np.uint8 or found.shape != (TOKEN_BYTES,):
                raise PlanError(
                    f"expected a token of {TOKEN_BYTES} bytes, got {found.dtype} {found.shape}: "
                    "EncryptedSum needs compression_pipeline EncryptedPipeline."
                )
        return token(b"".join(found.tobytes() for found in models))
