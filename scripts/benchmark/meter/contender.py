"""What a framework must bring to be measured."""

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

    server: regex for the command line of its aggregator. endpoint: regex for where its sites
    connect to, "ip:port".
    """

    @property
    def name(self) -> str:
        """As in the table."""
        ...

    @property
    def server(self) -> str:
        """See above."""
        ...

    @property
    def endpoint(self) -> str:
        """See above."""
        ...

    def prepare(self, folder: Path, rounds: int) -> list[str]:
        """Make everything that is not measured (keys, configuration); the command to measure."""
        ...

    def environment(self, folder: Path) -> dict[str, str]:
        """The environment variables of the command."""
        ...

    def final_model(self, folder: Path) -> np.ndarray:
        """The vector that the run has made."""
        ...


def own_environment(name: str, packages: list[str], cache: Path) -> Path:
    """The python of a virtual environment with these packages; made on first use."""
    python = cache / name / "bin" / "python"
    ready = cache / name / "ready"
    wanted = "\n".join(packages)
    if not ready.is_file() or ready.read_text() != wanted:
        subprocess.run([sys.executable, "-m", "venv", "--clear", cache / name], check=True)
        install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*install, *packages], check=True)
        ready.write_text(wanted)
    return python


@contextmanager
def started(commands: list[tuple[list[str], Path]], cwd: Path) -> Iterator[list[subprocess.Popen]]:
    """Processes with a log each, ended with the block. The block may start more and append them."""
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
    """One process with its log."""
    with log.open("w") as file:
        return subprocess.Popen(command, cwd=cwd, stdout=file, stderr=subprocess.STDOUT)
