"""One process at a time works in a workspace; the second is told who does."""

import os
import socket
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from src.errors import Refused, WorkspaceHeld
from src.trust import lock
from src.trust.lock import WorkspaceLock
from tests.patience import until

ROOT = Path(__file__).resolve().parents[2]
HOLDER = """
import sys, time
from datetime import UTC, datetime
from pathlib import Path
from src.trust.lock import WorkspaceLock
held = WorkspaceLock(Path(sys.argv[1]), lambda: datetime(2026, 11, 26, 12, tzinfo=UTC))
held.take()
time.sleep(float(sys.argv[2]))
"""


def lock_of(workspace: Path, patience_s: float = 0.2) -> WorkspaceLock:
    return WorkspaceLock(workspace, lambda: datetime(2026, 11, 26, 12, tzinfo=UTC), patience_s)


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the workspace, for as many seconds as it is told."""
    started = []

    def hold(seconds: float) -> subprocess.Popen:
        command = [sys.executable, "-c", HOLDER, str(tmp_path), str(seconds)]
        started.append(subprocess.Popen(command, cwd=ROOT))
        told = tmp_path / lock.FILE
        until(lambda: told.is_file() and str(started[-1].pid) in told.read_text(), "the lock")
        return started[-1]

    yield hold
    for process in started:
        process.kill()
        process.wait()


def test_the_second_is_told_which_process_works_there_where_and_since_when(tmp_path, holder):
    process = holder(60)
    with pytest.raises(WorkspaceHeld) as held:
        lock_of(tmp_path).take()
    told = f"process {process.pid} on {socket.gethostname()} since 2026-11-26T12:00:00+00:00"
    assert told in str(held.value)
    assert isinstance(held.value, Refused)


def test_a_process_that_is_just_ending_is_waited_for(tmp_path, holder):
    holder(0.5)
    lock_of(tmp_path, patience_s=30).take()


def test_a_killed_process_holds_nothing(tmp_path, holder):
    process = holder(60)
    process.kill()
    process.wait()
    lock_of(tmp_path).take()
    assert str(os.getpid()) in (tmp_path / lock.FILE).read_text()


def test_two_in_one_process_exclude_each_other_too(tmp_path):
    first = lock_of(tmp_path)
    first.take()
    first.take()  # its own changes nothing
    with pytest.raises(WorkspaceHeld, match=f"process {os.getpid()} on"):
        lock_of(tmp_path).take()
    first.release()
    lock_of(tmp_path).take()


def test_two_workspaces_do_not_mind_each_other(tmp_path):
    locks = [lock_of(tmp_path / name) for name in ("one", "two")]
    for each in locks:
        each.take()


def test_a_started_program_does_not_inherit_the_lock(tmp_path):
    first = lock_of(tmp_path)
    first.take()
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    first.release()
    lock_of(tmp_path).take()
    child.communicate(b"\n")
