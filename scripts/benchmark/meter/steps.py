"""Wall time, CPU time and peak memory of each step of a process and its children.

This file needs psutil and Linux, and nothing else, since it is copied into the environments of
other frameworks.
"""

import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil


class Steps:
    """A stopwatch for named steps, each of which may be taken several times."""

    def __init__(self) -> None:
        self._taken: dict[str, list[tuple[float, float, float]]] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Measure the block, once more under this name.

        Memory that is free is collected and the peaks are reset first, so that each step has its
        own. (Not by another user than root where a process holds a key: its peak is then that of
        all steps so far.)
        """
        gc.collect()
        everybody = tree()
        for process in everybody:
            with suppress(PermissionError):
                Path(f"/proc/{process.pid}/clear_refs").write_bytes(b"5")  # resets VmHWM
        cpu, began = cpu_seconds(everybody), time.perf_counter()
        yield
        seconds = time.perf_counter() - began
        taken = (seconds, cpu_seconds(everybody) - cpu, sum(map(peak_mb, everybody)))
        self._taken.setdefault(name, []).append(taken)

    @property
    def figures(self) -> dict[str, dict[str, float]]:
        """For each step its mean seconds "s" and "cpu_s", and its highest memory "mb"."""
        return {
            name: {
                "s": sum(seconds for seconds, _, _ in taken) / len(taken),
                "cpu_s": sum(cpu for _, cpu, _ in taken) / len(taken),
                "mb": max(mb for _, _, mb in taken),
            }
            for name, taken in self._taken.items()
        }


def tree() -> list[psutil.Process]:
    """This process and its descendants."""
    return [psutil.Process(), *psutil.Process().children(recursive=True)]


def cpu_seconds(processes: list[psutil.Process]) -> float:
    """User and system time of living processes so far.

    The times of their ended children are not included, so a step must not start processes.
    """
    times = [process.cpu_times() for process in processes]
    return sum(found.user + found.system for found in times)


def peak_mb(process: psutil.Process) -> float:
    """The most physical memory that a process has had since the last reset."""
    lines = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1000
