"""Processes are always ended, whatever happens, and a failure is told with the last lines."""

import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from scripts.local import fx
from scripts.local.processes import Party, free_port, refuse_used_port, running
from src.errors import RunFailed
from tests.patience import until


def party(tmp_path, code: str) -> Party:
    log = tmp_path / "party.log"
    with log.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-c", code], stdout=file, stderr=file, start_new_session=True
        )
    return Party("party", log, process)


STUBBORN = (
    "import signal, subprocess, sys, time\n"
    "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
    "print(child.pid, flush=True)\n"
    "time.sleep(60)\n"
)


def ends_soon(pid: int) -> bool:
    """Whether a process that is not ours to wait for is gone, or a zombie, within seconds."""
    stat = Path(f"/proc/{pid}/stat")
    for _ in range(100):
        if (
            not stat.exists()
            or stat.read_text(encoding="utf-8").rsplit(")", 1)[1].split()[0] == "Z"
        ):
            return True
        time.sleep(0.05)
    return False


def test_a_process_that_ignores_the_request_is_killed_with_its_children(tmp_path, monkeypatch):
    monkeypatch.setattr("scripts.local.processes.STOP_S", 0.5)
    stubborn = party(tmp_path, STUBBORN)
    until(stubborn.log.read_text, "the child's number")
    child = int(stubborn.log.read_text())
    stubborn.stop()
    assert stubborn.process.poll() is not None
    assert ends_soon(child)


def test_an_error_in_the_block_ends_the_processes(tmp_path):
    sleeper = party(tmp_path, "import time; time.sleep(60)")
    with pytest.raises(RuntimeError, match="the block's own"), running([sleeper]):
        raise RuntimeError("the block's own error")
    assert sleeper.process.poll() is not None


def test_stopping_what_has_ended_is_no_error(tmp_path):
    ended = party(tmp_path, "pass")
    ended.process.wait()
    ended.stop()


def test_a_free_port_is_free_and_a_used_one_is_refused():
    refuse_used_port(free_port())
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(RunFailed, match="is in use on this machine"):
            refuse_used_port(taken.getsockname()[1])


def test_a_failing_fx_command_is_told_with_its_last_lines(tmp_path):
    with pytest.raises(fx.FxFailed, match=r"(?s)`fx plan nonsense` .* code 2:.*No such command"):
        fx.run(tmp_path, "plan", "nonsense")
    assert "$ fx plan nonsense" in (tmp_path / "logs" / "fx.log").read_text()


def test_the_end_of_a_log_is_its_last_lines(tmp_path):
    (tmp_path / "log").write_text("\n".join(str(i) for i in range(30)))
    assert fx.last_lines(tmp_path / "log", 2) == "    28\n    29"
    assert fx.last_lines(tmp_path / "none") == ""
