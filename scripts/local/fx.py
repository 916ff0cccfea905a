"""Starts `fx` commands in a workspace: typed, or forked from a process with the imports done."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from scripts.local.fork_server import Forked, ForkServer
from src.errors import RunFailed

FX = Path(sys.executable).with_name("fx")
# glibc gives each thread of the gRPC server a heap of its own: 100 MB more than two of them need
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}


class FxFailed(RunFailed):
    """An `fx` command that ended with another code than 0; the message ends with its last lines."""


def environment() -> dict[str, str]:
    """Several parties share this machine, so one thread each; OpenFL's TensorBoard logs are on."""
    quiet = {"PYTHONWARNINGS": "ignore", "COLUMNS": "160", "GRPC_VERBOSITY": "ERROR"}
    return os.environ | ONE_THREAD | quiet | {"TENSORBOARD": "1", "PYTHONUNBUFFERED": "1"}


_server: ForkServer | None = None


@contextmanager
def forked_by(server: ForkServer | None) -> Iterator[None]:
    """In the block, every thread's commands are forked by the server. None: they are typed."""
    global _server
    before, _server = _server, server
    try:
        yield
    finally:
        _server = before


@contextmanager
def forked() -> Iterator[None]:
    """In the block, commands are forked by a server of its own: for parties on one machine."""
    with ForkServer(environment()) as server, forked_by(server):
        yield


def start(workspace: Path, *arguments: str, output: IO) -> subprocess.Popen | Forked:
    """`fx ARGUMENTS` in `workspace`, in a process group of its own; output: for all it says."""
    command = [str(FX), *arguments]
    if _server is not None:
        return _server.start(command, cwd=workspace, environment=environment(), output=output)
    return subprocess.Popen(
        command,
        cwd=workspace,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def run(workspace: Path, *arguments: str) -> None:
    """`fx ARGUMENTS` in `workspace`; its output goes to logs/fx.log. FxFailed: a code but 0."""
    log = workspace / "logs" / "fx.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a", encoding="utf-8") as file:
        file.write(f"$ fx {' '.join(arguments)}\n")
        file.flush()
        process = start(workspace, *arguments, output=file)
    try:
        code = process.wait()
    except BaseException:
        process.kill()
        process.wait()
        raise
    if code != 0:
        raise FxFailed(
            f"`fx {' '.join(arguments)}` in {workspace} ended with code {code}:\n{last_lines(log)}"
        )


def last_lines(log: Path, lines: int = 12) -> str:
    """The end of a log, indented; empty if there is none."""
    if not log.is_file():
        return ""
    return "\n".join(
        f"    {line}"
        for line in log.read_text(errors="replace", encoding="utf-8").splitlines()[-lines:]
    )
