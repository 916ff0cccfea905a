"""The codec (a door to OpenFL): how a tensor becomes bytes on the wire, and back.

Plain: dtype and shape are kept as they are. (OpenFL 1.9's own codecs cast everything to float32,
and call `np.reshape(newshape=)`, which numpy 2.4 removed.) Encrypted: what a site trains leaves it
encrypted, and what comes down is opened; metrics are plain numbers. Keys come in as an argument:
where none did, nothing is opened.
"""

from collections.abc import Callable

import numpy as np
from openfl.pipelines.pipeline import Transformer

from src.errors import Refused
from src.rounds import tensor_bytes
from src.secure_aggregation import framing
from src.secure_aggregation.site import EncryptingSite


class PlainTransformer(Transformer):
    """`src.rounds.tensor_bytes`, as OpenFL asks for it."""

    lossy = False

    def forward(self, data: np.ndarray, **kwargs) -> tuple[bytes, dict]:
        """The array as bytes, and the metadata that OpenFL demands but we do not need."""
        array = np.asarray(data)
        return tensor_bytes.encode(array), {"int_list": [array.ndim]}

    def backward(self, data: bytes, metadata: dict, **kwargs) -> np.ndarray:
        """The array that `forward` was given, read-only. WireError: damaged or foreign bytes."""
        return tensor_bytes.decode(data)


class EncryptingTransformer(PlainTransformer):
    """Plain until a site's process hands it what encrypts; encrypted bytes pass it unopened."""

    def __init__(self) -> None:
        self._encrypting: EncryptingSite | None = None
        self._cases: Callable[[], int] = lambda: 0

    def encrypt_with(self, encrypting: EncryptingSite, cases: Callable[[], int]) -> None:
        """From now on every array that is not a single number is encrypted."""
        self._encrypting, self._cases = encrypting, cases

    def forward(self, data: np.ndarray, **kwargs) -> tuple[bytes, dict]:
        """Bytes. Refused: this site must not send an update now."""
        array = np.asarray(data)
        if array.dtype == np.uint8 and framing.is_sealed(array[:4].tobytes()):
            return array.tobytes(), {"int_list": [array.ndim]}
        if self._encrypting is None or array.ndim == 0:
            return super().forward(array)
        return self._encrypting.seal(array, self._cases()), {"int_list": [array.ndim]}

    def backward(self, data: bytes, metadata: dict, **kwargs) -> np.ndarray:
        """At a site the model, verified. Refused: it is not encrypted, or does not hold.

        WireError: it is encrypted, and no keys are here (`fx model save`).
        """
        if self._encrypting is not None and framing.is_sealed(data):
            return self._encrypting.open(data)
        array = super().backward(data, metadata)
        if self._encrypting is not None and array.ndim:
            raise Refused("The aggregator has sent a model that is not encrypted.")
        return array
