"""Looks for secrets in the memory of processes: every 16-byte window, at every byte offset."""

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

PAGE = 4096
TABLE_BITS = 24


def mappings_of(group: int) -> Iterator[bytes]:
    """What the processes of a group can write to, pages of zeros left out."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if os.getpgid(int(process.name)) != group:
                continue
            lines = (process / "maps").read_text().splitlines()
            memory = (process / "mem").open("rb", buffering=0)
        except OSError:
            continue
        with memory:
            for line in lines:
                span, rights, _, _, inode, *_ = line.split()
                if rights.startswith("rw") and inode == "0":
                    start, end = (int(place, 16) for place in span.split("-"))
                    yield from _pages(memory, start, end)
        yield from memory_files(process)


def memory_files(process: Path) -> Iterator[bytes]:
    """Files in memory alone, which are no mapping: the workers share theirs so."""
    for number in (process / "fd").iterdir():
        with contextlib.suppress(OSError):
            if str(number.readlink()).startswith("/memfd:"):
                yield number.read_bytes()


def _pages(memory, start: int, end: int) -> Iterator[bytes]:
    try:
        memory.seek(start)
        content = memory.read(end - start)
    except (OSError, ValueError, OverflowError):
        return
    pages = np.frombuffer(content, np.uint64)[: len(content) // PAGE * PAGE // 8]
    pages = pages.reshape(-1, PAGE // 8)
    yield pages[pages.any(axis=1)].tobytes()


class Windows:
    """All 16-byte windows of some arrays, to be counted in other bytes."""

    def __init__(self, arrays: Iterable[np.ndarray]) -> None:
        self.all: set[bytes] = set()
        for array in arrays:
            content, step = array.tobytes(), array.dtype.itemsize
            self.all |= {content[i : i + 16] for i in range(0, len(content) - 15, step)}
        self._table = np.zeros(1 << TABLE_BITS, bool)
        starts = np.frombuffer(b"".join(window[:8] for window in self.all), np.uint64)
        self._table[self._hash(starts)] = True

    @staticmethod
    def _hash(words: np.ndarray) -> np.ndarray:
        return (words * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(64 - TABLE_BITS)

    def count(self, content: bytes) -> int:
        """How many windows occur in it."""
        found = 0
        for phase in range(min(8, len(content))):
            words = np.frombuffer(content, np.uint64, (len(content) - phase) // 8, phase)
            for place in np.flatnonzero(self._table[self._hash(words)]):
                start = phase + 8 * int(place)
                found += content[start : start + 16] in self.all
        return found
