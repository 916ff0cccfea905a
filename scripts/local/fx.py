"""Runs one `fx` command in a workspace, as a person would type it."""

import os
import subprocess
import sys
from pathlib import Path

FX = Path(sys.executable).with_name("fx")
# glibc gives each thread of the gRPC server a heap of its own: 100 MB more than two of them need
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}


class FxFailed(RuntimeError):
    """An `fx` command that ended with another code than 0; the message ends with its last lines."""


def environment() -> dict[str, str]:
    """Several parties share this machine, so one thread each; OpenFL's TensorBoard logs are on."""
    quiet = {"PYTHONWARNINGS": "ignore", "COLUMNS": "160", "GRPC_VERBOSITY": "ERROR"}
    return os.environ | ONE_THREAD | quiet | {"TENSORBOARD": "1", "PYTHONUNBUFFERED": "1"}


def run(workspace: Path, *arguments: str) -> None:
    """`fx ARGUMENTS` in `workspace`; its output goes to logs/fx.log. FxFailed: a code but 0."""
    log = workspace / "logs" / "fx.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a") as file:
        file.write(f"$ fx {' '.join(arguments)}\n")
        file.flush()
        code = subprocess.run(
            [FX, *arguments],
            cwd=workspace,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            check=False,
        ).returncode
    if code != 0:
        raise FxFailed(
            f"`fx {' '.join(arguments)}` in {workspace} ended with code {code}:\n{last_lines(log)}"
        )


def last_lines(log: Path, lines: int = 12) -> str:
    """The end of a log, indented; empty if there is none."""
    if not log.is_file():
        return ""
    return "\n".join(
        f"    {line}" for line in log.read_text(errors="replace").splitlines()[-lines:]
    )
