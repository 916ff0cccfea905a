"""The pipeline (a door to OpenFL): how a tensor becomes bytes on the wire, and back.

Plain: dtype and shape are kept as they are. (OpenFL 1.9's own pipelines cast everything to
float32, and call `np.reshape(newshape=)`, which numpy 2.4 removed.)
"""

import numpy as np
from openfl.pipelines.pipeline import TransformationPipeline, Transformer

MAGIC = b"PLN1"
DTYPES = ("<f4", "<f8", "|u1", "<i4", "<i8")
MOST_DIMENSIONS = 8


class WireError(ValueError):
    """Bytes that are not a tensor of ours."""


class PlainTransformer(Transformer):
    """Array to self-describing bytes: magic, dtype, number of axes, shape, values (C order)."""

    lossy = False

    def forward(self, data: np.ndarray, **kwargs) -> tuple[bytes, dict]:
        """The array as bytes, and the metadata that OpenFL demands but we do not need."""
        array = np.asarray(data)
        if array.dtype.newbyteorder("<").str not in DTYPES:
            array = array.astype(np.float32)
        array = np.asarray(array, array.dtype.newbyteorder("<"))
        header = bytes([DTYPES.index(array.dtype.str), array.ndim])
        shape = np.asarray(array.shape, "<u8").tobytes()
        return MAGIC + header + shape + array.tobytes(), {"int_list": [array.ndim]}

    def backward(self, data: bytes, metadata: dict, **kwargs) -> np.ndarray:
        """The array that `forward` was given, read-only. WireError: damaged or foreign bytes."""
        if data[:4] != MAGIC or len(data) < 6:
            raise WireError(f"expected a tensor that begins with {MAGIC!r}, got {data[:4]!r}.")
        dtype_code, dimensions = data[4], data[5]
        if dtype_code >= len(DTYPES) or dimensions > MOST_DIMENSIONS:
            raise WireError(f"unknown dtype code {dtype_code} or {dimensions} axes.")
        start = 6 + 8 * dimensions
        if len(data) < start:
            raise WireError(f"expected a header of {start} bytes, got {len(data)} bytes in all.")
        dtype = np.dtype(DTYPES[dtype_code])
        shape = tuple(int(n) for n in np.frombuffer(data[6:start], "<u8"))
        values = 1
        for length in shape:
            values *= length
        if len(data) - start != values * dtype.itemsize:
            raise WireError(
                f"shape {shape} of {dtype} needs {values * dtype.itemsize} bytes, "
                f"got {len(data) - start}."
            )
        return np.frombuffer(data, dtype, offset=start).reshape(shape)


class PlainPipeline(TransformationPipeline):
    """Nothing hidden, nothing lost: the baseline that every other pipeline is measured against."""

    LEAVES = "the whole model after each round of local training, readable by the aggregator"
    PRIVACY = "none but TLS: a model can leak what it was trained on, and the aggregator reads it"

    def __init__(self) -> None:
        super().__init__(transformers=[PlainTransformer()])
