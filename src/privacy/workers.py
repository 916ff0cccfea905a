"""The workers of one party: started when first needed, one order at a time each, ended with it."""

import os
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Lock

import numpy as np

from src.privacy import bfv
from src.privacy.worker import DONE, frame, unframe

ROOT = Path(__file__).resolve().parents[2]  # the bundle's code
PATIENCE_S = 300.0  # an order takes seconds; then the worker is taken for hung
ROOM_BYTES = 1 << 30  # address space of a worker beside its ciphertexts


class WorkerRefused(ValueError):
    """What was handed to a worker is not what it should be; or the worker died of it."""


class WorkerProcess:
    """One process. most_bytes: of its address space."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._process: subprocess.Popen | None = None
        self._line: Connection | None = None
        self._lock = Lock()

    def _start(self) -> Connection:
        ours, theirs = socket.socketpair()
        command = [sys.executable, "-m", "src.privacy.worker"]
        numbers = [str(theirs.fileno()), str(self._most_bytes)]
        one = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [*command, *numbers], cwd=ROOT, pass_fds=[theirs.fileno()], env=os.environ | one
        )
        theirs.close()
        self._line = Connection(ours.detach())
        return self._line

    def do(self, order: str, content: bytes = b"") -> bytes:
        """The answer. WorkerRefused: it was refused, took too long, or ended the process."""
        with self._lock:
            if not self.alive:
                self._end()
            line = self._line or self._start()
            try:
                line.send_bytes(order.encode())
                line.send_bytes(content)
                if not line.poll(PATIENCE_S):
                    raise WorkerRefused(f"no answer for {PATIENCE_S:.0f} s.")
                answer = line.recv_bytes()
            except (EOFError, OSError) as error:
                self._end()
                raise WorkerRefused(f"the process that checked it has died: {error!r}") from None
            except WorkerRefused:
                self._end()
                raise
        if answer[:1] != DONE:
            raise WorkerRefused(answer[1:].decode(errors="replace"))
        return answer[1:]

    @property
    def alive(self) -> bool:
        """Whether it runs, and so still has what it was given."""
        return self._process is not None and self._process.poll() is None

    def _end(self) -> None:
        if self._line:
            self._line.close()
        if self._process:
            self._process.kill()
            self._process.wait()
        self._line = self._process = None

    def close(self) -> None:
        """End it."""
        with self._lock:
            self._end()


class Ciphers:
    """Encrypts and decrypts with one worker a core. key: the secret key's bytes."""

    def __init__(self, key: bytes, chunks: int, processes: int | None = None) -> None:
        cores = len(os.sched_getaffinity(0))
        self._key = key
        count = max(1, min(processes or cores, chunks))
        room = ROOM_BYTES + 8 * chunks * bfv.MOST_BYTES[bfv.SUM] // count
        self._workers = [WorkerProcess(room) for _ in range(count)]

    def start(self) -> None:
        """Start the workers, give them the key, test one. RuntimeError: TenSEAL adds wrongly."""
        try:
            self._each("key", [self._key] * len(self._workers))
            self._workers[0].do("test", os.urandom(16))
        except WorkerRefused as error:
            raise RuntimeError(f"Encryption does not work here: {error}") from None

    def _each(self, order: str, contents: list[bytes]) -> list[bytes]:
        if order != "key" and not all(worker.alive for worker in self._workers):
            self.start()
        with ThreadPoolExecutor(len(self._workers)) as pool:
            return list(pool.map(lambda pair: pair[0].do(order, pair[1]), self._pairs(contents)))

    def _pairs(self, contents: list[bytes]):
        return zip(self._workers, contents, strict=True)

    def encrypt(self, slots: np.ndarray) -> list[bytes]:
        """slots (C, N) uint64 below t; C ciphertexts."""
        shares = np.array_split(slots, len(self._workers))
        answers = self._each("encrypt", [share.tobytes() for share in shares])
        return [part for answer in answers for part in unframe(answer)]

    def decrypt(self, sums: list[bytes]) -> np.ndarray:
        """slots (C, N) of C sums. WorkerRefused: not sums of these parameters."""
        bounds = np.linspace(0, len(sums), len(self._workers) + 1).astype(int)
        shares = [frame(sums[a:b]) for a, b in pairwise(bounds)]
        answers = self._each("decrypt", shares)
        return np.frombuffer(b"".join(answers), np.uint64).reshape(-1, bfv.N)

    def close(self) -> None:
        """End the workers."""
        for worker in self._workers:
            worker.close()
