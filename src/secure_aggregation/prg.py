"""PRG: uniform numbers mod t that two parties can make alike, from AES-256-CTR, six bytes a draw.

Each chunk has a stream of its own, so that any worker can make any chunk. Draws of t or more are
rejected and replaced from the chunk's second stream: the numbers are exactly uniform, and equal for
both parties.
"""

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

DRAW_BYTES = 6


def derive(secret: bytes, label: str, *, salt: bytes | None = None, info: bytes = b"") -> bytes:
    """A key of 32 bytes for one purpose: HKDF-SHA256 (RFC 5869)."""
    return HKDF(SHA256(), 32, salt, label.encode() + b"\0" + info).derive(secret)


def uniform(key: bytes, first: int, chunks: int, length: int, modulus: int) -> np.ndarray:
    """(chunks, length) uint64 below `modulus` <= 2**48, for chunks first, first + 1, …"""
    drawn = np.zeros((chunks, length, 8), np.uint8)
    zeros = bytes(length * DRAW_BYTES)
    for row in range(chunks):
        stream = _stream(key, first + row, second=False).update(zeros)
        drawn[row, :, :DRAW_BYTES] = np.frombuffer(stream, np.uint8).reshape(length, DRAW_BYTES)
    numbers = drawn.reshape(chunks, -1).view("<u8")
    for row in np.flatnonzero((numbers >= modulus).any(axis=1)):
        _replace(numbers[row], _stream(key, first + int(row), second=True), modulus)
    return numbers


def _stream(key: bytes, chunk: int, *, second: bool):
    """The key stream of one chunk."""
    start = bytes([second]) + chunk.to_bytes(7, "big") + bytes(8)  # counters never meet
    return Cipher(algorithms.AES(key), modes.CTR(start)).encryptor()


def _replace(numbers: np.ndarray, stream, modulus: int) -> None:
    """Draw numbers of t or more again."""
    for place in np.flatnonzero(numbers >= modulus):
        while numbers[place] >= modulus:
            numbers[place] = int.from_bytes(stream.update(bytes(DRAW_BYTES)), "little")
