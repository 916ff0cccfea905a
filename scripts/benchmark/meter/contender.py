"""A contender: what a framework must provide to be measured."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import numpy as np

METER_FOLDER = Path(__file__).resolve().parent
PEER_FOLDER = METER_FOLDER.with_name("peers")
ROOT = METER_FOLDER.parents[2]


class Contender(Protocol):
    """One framework in one configuration.

    name: as it stands in the table.
    server: a regular expression for the command line of its aggregator.
    endpoint: a regular expression for "ip:port", where its sites connect to.
    """

    @property
    def name(self) -> str:
        """As it stands in the table."""
        ...

    @property
    def server(self) -> str:
        """A regular expression for the command line of its aggregator."""
        ...

    @property
    def endpoint(self) -> str:
        """A regular expression for "ip:port", where its sites connect to."""
        ...

    def prepare(self, folder: Path, rounds: int) -> list[str]:
        """Make everything that is not measured (keys, configuration); return the command to
        measure.

        folder: an empty folder for this run.
        rounds: how many rounds the command is to run.
        """
        ...

    def environment(self, folder: Path) -> dict[str, str]:
        """The environment variables of the command."""
        ...

    def final_model(self, folder: Path) -> np.ndarray:
        """The model vector that the run has left in its folder."""
        ...


def own_environment(name: str, packages: list[str], cache: Path) -> Path:
    """The Python of a virtual environment with these packages, made on first use.

    name: of the environment's folder in `cache`.
    packages: as pip takes them. If they differ from last time's, the environment is made anew.
    """
    python = cache / name / "bin" / "python"
    ready = cache / name / "ready"
    wanted = "\n".join(packages)
    if not ready.is_file() or ready.read_text(encoding="utf-8") != wanted:
        subprocess.run([sys.executable, "-m", "venv", "--clear", cache / name], check=True)
        install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*install, *packages], check=True)
        ready.write_text(wanted, encoding="utf-8")
    return python


@contextmanager
def started(commands: list[tuple[list[str], Path]], cwd: Path) -> Iterator[list[subprocess.Popen]]:
    """Run commands, each with its log, until the block ends; the block may append more.

    The processes are asked to end, and killed after ten seconds.
    """
    processes: list[subprocess.Popen] = []
    try:
        for command, log in commands:
            processes.append(start(command, log, cwd))
        yield processes
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def start(command: list[str], log: Path, cwd: Path) -> subprocess.Popen:
    """Start one process that writes its output and its errors to a log."""
    with log.open("w", encoding="utf-8") as file:
        return subprocess.Popen(command, cwd=cwd, stdout=file, stderr=subprocess.STDOUT)
