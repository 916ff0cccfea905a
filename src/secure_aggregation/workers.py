"""The worker processes of one party. They start when first needed and end with the party."""

import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise, repeat
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Lock
from typing import NamedTuple

import numpy as np

from src.errors import RunFailed, WorkerRefused
from src.secure_aggregation import bfv
from src.secure_aggregation.memory_file import MemoryFile
from src.secure_aggregation.worker import DONE, frame, unframe

ROOT = Path(__file__).resolve().parents[2]  # the bundle's code
PATIENCE_S = 300.0  # an order takes seconds; then the worker is taken for hung
ROOM_BYTES = 1 << 30  # address space of a worker beside its ciphertexts
SEED_BYTES = 16  # by which a ciphertext's randomness is known


class Running(NamedTuple):
    """A started process, its socket, and the file in memory that both have open."""

    process: subprocess.Popen
    line: Connection
    shared: MemoryFile


class WorkerProcess:
    """One worker, started when it is first needed.

    most_bytes: of its address space.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._running: Running | None = None
        self._lock = Lock()

    def _start(self) -> Running:
        self._end()
        (ours, theirs), shared = socket.socketpair(), MemoryFile()
        passed = [theirs.fileno(), shared.number]
        isolated = ROOT / "src" / "isolated.py"  # no compiled copy of the code is read
        program = "src.secure_aggregation.worker"
        command = [sys.executable, "-P", "-B", str(isolated), str(ROOT), program]
        one = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        process = subprocess.Popen(
            [*command, *map(str, passed), str(self._most_bytes)],
            cwd=ROOT,
            pass_fds=passed,
            env=os.environ | one,
        )
        theirs.close()
        self._running = Running(process, Connection(ours.detach()), shared)
        return self._running

    def do(self, order: str, content: bytes | memoryview = b"") -> bytes:
        """Have an order carried out, and return its answer.

        WorkerRefused: the worker refused it, took too long, or died of it.
        """
        with self._lock:
            _, line, shared = self._running if self._running and self.alive else self._start()
            try:
                shared.write(content)
                line.send_bytes(order.encode())
                if not line.poll(PATIENCE_S):
                    raise WorkerRefused(f"no answer for {PATIENCE_S:.0f} s.")
                status = line.recv_bytes()
            except (EOFError, OSError) as error:
                self._end()
                raise WorkerRefused(f"the process that checked it has died: {error!r}") from None
            except WorkerRefused:
                self._end()
                raise
            found = shared.read() if status == DONE else b""
            shared.write()
        if status != DONE:
            raise WorkerRefused(status[1:].decode(errors="replace"))
        return found

    @property
    def alive(self) -> bool:
        """Whether the process runs, and so still holds what it was given."""
        return self._running is not None and self._running.process.poll() is None

    def _end(self) -> None:
        if self._running:
            process, line, shared = self._running
            line.close()
            shared.close()
            process.kill()
            process.wait()
        self._running = None

    def close(self) -> None:
        """End the process."""
        with self._lock:
            self._end()


class Workers:
    """One process a core at most, each with an equal share of a model's chunks.

    copies: how many ciphertexts of its share a worker may hold.
    """

    def __init__(self, chunks: int, copies: int, processes: int | None) -> None:
        cores = len(os.sched_getaffinity(0))
        count = max(1, min(processes or cores, chunks))
        room = ROOM_BYTES + copies * chunks * bfv.MOST_BYTES[bfv.SUM] // count
        self._workers = [WorkerProcess(room) for _ in range(count)]

    @property
    def alive(self) -> bool:
        """Whether all run, and so still hold what they were given."""
        return all(worker.alive for worker in self._workers)

    def _test(self) -> None:
        """Run the start-up self-test in one of them. WorkerRefused: TenSEAL adds wrongly."""
        self._workers[0].do("test", os.urandom(16))

    def _each(self, order: str, contents: Sequence[bytes | memoryview]) -> list[bytes]:
        with ThreadPoolExecutor(len(self._workers)) as pool:
            return list(pool.map(WorkerProcess.do, self._workers, repeat(order), contents))

    def _all(self, order: str, content: bytes = b"") -> list[bytes]:
        return self._each(order, [content] * len(self._workers))

    def _shares(self, parts: Sequence[bytes | memoryview]) -> list[bytes]:
        """The parts divided among the workers, framed."""
        bounds = np.linspace(0, len(parts), len(self._workers) + 1).astype(int)
        return [frame(parts[a:b]) for a, b in pairwise(bounds)]

    def close(self) -> None:
        """End all processes."""
        for worker in self._workers:
            worker.close()


class Ciphers(Workers):
    """Workers that encrypt and decrypt.

    key: the secret key's bytes.
    """

    def __init__(self, key: bytes, chunks: int, processes: int | None = None) -> None:
        super().__init__(chunks, 8, processes)
        self._key = key

    def start(self) -> None:
        """Start the workers, give them the key, test one. RunFailed: TenSEAL adds wrongly."""
        try:
            self._all("key", self._key)
            self._test()
        except WorkerRefused as error:
            raise RunFailed(f"Encryption does not work here: {error}") from None

    def encrypt(self, slots: np.ndarray) -> list[memoryview]:
        """Encrypt slots (C, N) uint64 below t to C ciphertexts."""
        if not self.alive:
            self.start()
        shares = np.array_split(np.ascontiguousarray(slots), len(self._workers))
        answers = self._each("encrypt", [share.reshape(-1).data.cast("B") for share in shares])
        return [part for answer in answers for part in unframe(answer)]

    def decrypt(self, sums: Sequence[bytes | memoryview]) -> np.ndarray:
        """Decrypt C sums to slots (C, N). WorkerRefused: they are no sums of these parameters."""
        if not self.alive:
            self.start()
        answers = self._each("decrypt", self._shares(sums))
        return np.frombuffer(b"".join(answers), np.uint64).reshape(-1, bfv.N)


class Adders(Workers):
    """Workers that check fresh ciphertexts and add them, without any key."""

    def __init__(self, chunks: int, processes: int | None = None) -> None:
        super().__init__(chunks, 6, processes)
        self._seeds: set[bytes] = set()

    def start(self) -> None:
        """Start and test them. WorkerRefused: TenSEAL adds wrongly."""
        self.forget()
        self._test()

    def add(self, upload: Sequence[bytes | memoryview]) -> None:
        """Add an upload to the running sum, all of it or nothing.

        WorkerRefused: it holds anything but fresh ciphertexts, or one whose randomness was used
            before.
        """
        found = b"".join(self._each("check", self._shares(upload)))
        seeds = {found[place : place + SEED_BYTES] for place in range(0, len(found), SEED_BYTES)}
        if len(seeds) < len(upload) or seeds & self._seeds:
            raise WorkerRefused("the randomness of a ciphertext was used before.")
        self._all("add")
        self._seeds |= seeds

    def sum(self) -> list[memoryview]:
        """The sum of all that was added."""
        return [part for answer in self._all("sum") for part in unframe(answer)]

    def forget(self) -> None:
        """Begin a new sum."""
        self._all("forget")
        self._seeds = set()
