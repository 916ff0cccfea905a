"""A process that encrypts, decrypts or adds: `python -m src.secure_aggregation.worker`.

TenSEAL never releases Python's global lock, so this work would stop the heartbeat of the process
that does it. Moreover, bytes from other parties are first parsed here, where memory is limited and
a crash costs nothing. The process is started afresh (no fork: SEAL's and gRPC's threads do not
survive one). Orders come through a socket; their input and output go through a file in memory, as
bytes and never as pickles.
"""

import os
import resource
import struct
import sys
from collections.abc import Iterable
from multiprocessing.connection import Connection

import numpy as np

from src import no_dump
from src.errors import KitError
from src.secure_aggregation import bfv
from src.secure_aggregation.memory_file import MemoryFile

DONE, REFUSED = b"+", b"-"


def frame(parts: Iterable[bytes | memoryview]) -> bytes:
    """Several byte strings in one."""
    return b"".join(piece for part in parts for piece in (struct.pack("<I", len(part)), part))


def unframe(content: bytes) -> list[memoryview]:
    """The parts again, not copied. Only for what this kit's own processes have framed."""
    parts, place, whole = [], 0, memoryview(content)
    while place < len(content):
        (length,) = struct.unpack_from("<I", content, place)
        parts.append(whole[place + 4 : place + 4 + length])
        place += 4 + length
    return parts


class Worker:
    """One method for each order, from bytes to bytes."""

    def __init__(self) -> None:
        self._adder = bfv.Adder()
        self._cipher: bfv.Cipher | None = None
        self._checked: list = []
        self._sum: list = []

    def key(self, content: bytes) -> bytes:
        """Take the secret key. From then on this process cannot be dumped."""
        no_dump.forbid()
        self._cipher = bfv.Cipher(content)
        return b""

    def _own_cipher(self) -> bfv.Cipher:
        if self._cipher is None:
            raise RuntimeError("No key was given to this worker.")
        return self._cipher

    def test(self, content: bytes) -> bytes:
        """Run the start-up self-test.

        content: entropy of its own, 16 bytes.
        """
        bfv.self_test(np.random.default_rng(list(content)))
        return b""

    def encrypt(self, content: bytes) -> bytes:
        """Slots (C, N), uint64, to framed ciphertexts."""
        cipher = self._own_cipher()
        slots = np.frombuffer(content, np.uint64).reshape(-1, bfv.N)
        return frame(cipher.encrypt(row) for row in slots)

    def decrypt(self, content: bytes) -> bytes:
        """Framed sums to slots."""
        cipher = self._own_cipher()
        rows = [cipher.decrypt(cipher.load(part, bfv.SUM)) for part in unframe(content)]
        return np.stack(rows).tobytes()

    def check(self, content: bytes) -> bytes:
        """Take an upload's framed ciphertexts if all are fresh; return their randomness (C, 2)
        uint64.
        """
        self._checked = [self._adder.load(part, bfv.FRESH) for part in unframe(content)]
        seeds = [self._adder.randomness(ciphertext) for ciphertext in self._checked]
        return np.array(seeds, np.uint64).tobytes()

    def add(self, content: bytes) -> bytes:
        """Add what was checked last."""
        fresh, self._checked = self._checked, []
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
        self._checked, self._sum = [], []
        return b""


ORDERS = ("key", "test", "encrypt", "decrypt", "check", "add", "sum", "forget")


def serve(line: Connection, shared: MemoryFile, most_bytes: int) -> None:
    """Work until the other end hangs up. most_bytes: of address space."""
    resource.setrlimit(resource.RLIMIT_AS, (most_bytes, most_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # no key in a core file
    worker = Worker()
    while True:
        try:
            order = line.recv_bytes().decode()
        except EOFError:
            return
        try:
            if order not in ORDERS:
                raise ValueError(f"no order {order!r}.")
            shared.write(getattr(worker, order)(shared.read()))
            answer = DONE
        except (KitError, MemoryError, RuntimeError, ValueError) as error:  # the last two: SEAL's
            answer = REFUSED + f"{error}".encode()
        line.send_bytes(answer)


if __name__ == "__main__":
    os.nice(5)  # the process that talks comes first
    serve(Connection(int(sys.argv[1])), MemoryFile(int(sys.argv[2])), int(sys.argv[3]))
