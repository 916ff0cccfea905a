"""A process that encrypts, decrypts or adds: `python -m src.privacy.worker`.

TenSEAL never releases Python's global lock, so this work would stop the heartbeat of the process
that does it; and bytes from elsewhere are first parsed here, where memory is limited and a crash
costs nothing. It is started afresh (no fork: SEAL's and gRPC's threads do not survive one).
Answers are bytes, never pickles.
"""

import os
import resource
import struct
import sys
from multiprocessing.connection import Connection

import numpy as np

from src.privacy import bfv

DONE, REFUSED = b"+", b"-"


def frame(parts) -> bytes:
    """Several byte strings in one."""
    return b"".join(struct.pack("<I", len(part)) + part for part in parts)


def unframe(content: bytes) -> list[bytes]:
    """The parts again. Only for what this kit's own processes have framed."""
    parts, place = [], 0
    while place < len(content):
        (length,) = struct.unpack_from("<I", content, place)
        parts.append(content[place + 4 : place + 4 + length])
        place += 4 + length
    return parts


class Worker:
    """One method for each order; it takes bytes and gives bytes."""

    def __init__(self) -> None:
        self._adder = bfv.Adder()
        self._cipher: bfv.Cipher | None = None
        self._sum: list = []
        self._seeds: set = set()

    def key(self, content: bytes) -> bytes:
        """Take the secret key."""
        self._cipher = bfv.Cipher(content)
        return b""

    def test(self, content: bytes) -> bytes:
        """The start-up self-test. content: entropy of its own, 16 bytes."""
        bfv.self_test(np.random.default_rng(list(content)))
        return b""

    def encrypt(self, content: bytes) -> bytes:
        """Slots (C, N), uint64, to framed ciphertexts."""
        assert self._cipher is not None
        slots = np.frombuffer(content, np.uint64).reshape(-1, bfv.N)
        return frame(self._cipher.encrypt(row) for row in slots)

    def decrypt(self, content: bytes) -> bytes:
        """Framed sums to slots."""
        assert self._cipher is not None
        cipher = self._cipher
        rows = [cipher.decrypt(cipher.load(part, bfv.SUM)) for part in unframe(content)]
        return np.stack(rows).tobytes()

    def add(self, content: bytes) -> bytes:
        """Check every ciphertext of one upload, then add them all: all or nothing."""
        fresh = [self._adder.load(part, bfv.FRESH) for part in unframe(content)]
        seeds = {self._adder.randomness(ciphertext) for ciphertext in fresh}
        if len(seeds) < len(fresh) or seeds & self._seeds:
            raise bfv.CiphertextError("the randomness of a ciphertext was used before.")
        self._seeds |= seeds
        if not self._sum:
            self._sum = fresh
            return b""
        for total, ciphertext in zip(self._sum, fresh, strict=True):
            self._adder.add(total, ciphertext)
        return b""

    def sum(self, content: bytes) -> bytes:
        """The framed sums so far."""
        return frame(self._adder.save(total) for total in self._sum)

    def forget(self, content: bytes) -> bytes:
        """Begin a new sum."""
        self._sum, self._seeds = [], set()
        return b""


ORDERS = ("key", "test", "encrypt", "decrypt", "add", "sum", "forget")


def serve(line: Connection, most_bytes: int) -> None:
    """Work until the other end hangs up. most_bytes: of address space."""
    resource.setrlimit(resource.RLIMIT_AS, (most_bytes, most_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # no key in a core file
    worker = Worker()
    while True:
        try:
            order, content = line.recv_bytes().decode(), line.recv_bytes()
        except EOFError:
            return
        try:
            if order not in ORDERS:
                raise ValueError(f"no order {order!r}.")
            answer = DONE + getattr(worker, order)(content)
        except (ValueError, MemoryError, RuntimeError) as error:
            answer = REFUSED + f"{error}".encode()
        line.send_bytes(answer)


if __name__ == "__main__":
    os.nice(5)  # the process that talks comes first
    serve(Connection(int(sys.argv[1])), int(sys.argv[2]))
