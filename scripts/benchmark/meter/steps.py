"""Wall time, CPU time and peak memory of each step of one process and its children.

Needs psutil and Linux, and nothing else, since it is copied into other frameworks' environments.
"""

import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil


class Steps:
    """figures: for each step its mean seconds and CPU seconds, and its highest memory in MB."""

    def __init__(self) -> None:
        self._taken: dict[str, list[tuple[float, float, float]]] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Measure the block, once more under this name."""
        gc.collect()
        everybody = tree()
        for process in everybody:
            Path(f"/proc/{process.pid}/clear_refs").write_text("5")  # resets VmHWM
        cpu, began = cpu_seconds(everybody), time.perf_counter()
        yield
        seconds = time.perf_counter() - began
        taken = (seconds, cpu_seconds(everybody) - cpu, sum(map(peak_mb, everybody)))
        self._taken.setdefault(name, []).append(taken)

    @property
    def figures(self) -> dict[str, dict[str, float]]:
        """By step."""
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
    """User and system time so far; of the living, without their ended children."""
    times = [process.cpu_times() for process in processes]
    return sum(found.user + found.system for found in times)


def peak_mb(process: psutil.Process) -> float:
    """Most physical memory since the last reset."""
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1000
