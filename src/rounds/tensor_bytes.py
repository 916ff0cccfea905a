"""An array as self-describing bytes: magic, dtype, number of axes, shape, values (C order).

Dtype and shape are kept as they are. Everything that travels or lies in a checkpoint unencrypted
has this form, whatever engine carries it.
"""

from math import prod

import numpy as np

from src.errors import WireError
from src.secure_aggregation import framing

MAGIC = b"PLN1"
DTYPES = ("<f4", "<f8", "|u1", "<i4", "<i8")
MOST_DIMENSIONS = 8
MOST_NUMBER_BYTES = 32  # of a metric on the wire


def encode(array: np.ndarray) -> bytes:
    """The array as bytes; as float32, where its dtype is none of DTYPES."""
    array = np.asarray(array)
    if array.dtype.newbyteorder("<").str not in DTYPES:
        array = array.astype(np.float32)
    array = np.asarray(array, array.dtype.newbyteorder("<"))
    header = bytes([DTYPES.index(array.dtype.str), array.ndim])
    return MAGIC + header + np.asarray(array.shape, "<u8").tobytes() + array.tobytes()


def decode(content: bytes) -> np.ndarray:
    """The array that `encode` was given, read-only. WireError: damaged or foreign bytes."""
    if framing.is_sealed(content):
        raise WireError(
            "an encrypted model; a site opens it, in its workspace: python -m src export "
            "--model final.pbuf --out final.pt"
        )
    if content[:4] != MAGIC or len(content) < 6:
        raise WireError(f"expected a tensor that begins with {MAGIC!r}, got {content[:4]!r}.")
    dtype_code, dimensions = content[4], content[5]
    if dtype_code >= len(DTYPES) or dimensions > MOST_DIMENSIONS:
        raise WireError(f"unknown dtype code {dtype_code} or {dimensions} axes.")
    start = 6 + 8 * dimensions
    if len(content) < start:
        raise WireError(f"expected a header of {start} bytes, got {len(content)} bytes in all.")
    dtype = np.dtype(DTYPES[dtype_code])
    shape = tuple(int(n) for n in np.frombuffer(content[6:start], "<u8"))
    needed = prod(shape) * dtype.itemsize
    if len(content) - start != needed:
        raise WireError(
            f"shape {shape} of {dtype} needs {needed} bytes, got {len(content) - start}."
        )
    return np.frombuffer(content, dtype, offset=start).reshape(shape)


def is_number(content: bytes) -> bool:
    """Whether these bytes are a single number, as a metric is."""
    try:
        return len(content) <= MOST_NUMBER_BYTES and not decode(content).ndim
    except WireError:
        return False
