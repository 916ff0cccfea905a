"""A process that holds a key: no core file, and no other process of its user reads its memory."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from src.errors import Damaged
from src.files import make_private

ROOT = Path(__file__).resolve().parent.parent
FORBIDS = "from src import no_dump; no_dump.forbid()"
# Root reads everything, so both processes become nobody; which would forbid the dump by itself.
AS_A_USER = """
import ctypes, os, sys
sys.path.insert(0, {root!r})
import psutil, src.no_dump, scripts.benchmark.meter.steps
if os.getuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
    ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)
"""


def started(code: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-B", "-c", AS_A_USER.format(root=str(ROOT)) + code],
        cwd="/",
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextmanager
def living(code: str) -> Iterator[int]:
    """The process id of a user's process that has run the code and goes on."""
    process = started(f"{code}\nprint('ready', flush=True)\nsys.stdin.read()")
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    try:
        yield process.pid
    finally:
        process.communicate()


def run(code: str) -> tuple[int, str]:
    """(the code, stdout and stderr) of another process of the same user."""
    process = started(code)
    said = "".join(process.communicate())
    return process.returncode, said


def test_no_core_file_is_written_and_the_limit_cannot_be_raised():
    _, said = run(f"{FORBIDS}\nimport resource; print(resource.getrlimit(resource.RLIMIT_CORE))")
    assert said == "(0, 0)\n"
    raises = "resource.setrlimit(resource.RLIMIT_CORE, (1, 1))"
    ended, said = run(f"{FORBIDS}\nimport resource\n{raises}")
    assert ended != 0
    assert "not allowed to raise maximum limit" in said


def test_no_process_of_the_same_user_reads_its_memory():
    look = "open('/proc/{}/mem', 'rb').close()"
    with living("") as pid:
        assert run(look.format(pid)) == (0, "")
    with living(FORBIDS) as pid:
        ended, said = run(look.format(pid))
    assert ended != 0
    assert "Permission denied" in said


def test_what_measures_a_party_still_reads_its_figures():
    """CPU time, memory and command, as psutil and the benchmarks read them."""
    with living(FORBIDS) as pid:
        ended, said = run(
            f"process = psutil.Process({pid}); process.cpu_times()\n"
            "assert process.memory_info().rss > 1e6\n"
            "assert scripts.benchmark.meter.steps.peak_mb(process) > 1\n"
            f"assert b'python' in open('/proc/{pid}/cmdline', 'rb').read()\n"
        )
    assert (ended, said) == (0, "")


def test_whoever_reads_a_private_key_is_not_dumped(parties):
    key = parties / "one" / "cert" / "client" / "col_one.key"
    code = (
        "from pathlib import Path; from src.trust import certificate as c; import resource\n"
        f"path = Path({str(key)!r})\n"
        "c.read_key(path, c.read_certificate(path.with_suffix('.crt')))\n"
        "import ctypes; print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))\n"
        "print(resource.getrlimit(resource.RLIMIT_CORE))"
    )
    shown = subprocess.run(
        [sys.executable, "-B", "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert shown.stdout.split("\n")[:2] == ["0", "(0, 0)"]


def test_a_folder_that_was_open_is_closed_to_others(tmp_path):
    folder = tmp_path / "logs"
    folder.mkdir(mode=0o755)
    make_private(folder)
    make_private(tmp_path / "local_state")
    modes = [path.stat().st_mode & 0o777 for path in (folder, tmp_path / "local_state")]
    assert modes == [0o700, 0o700]


def test_a_folder_of_another_user_that_stays_open_is_said(tmp_path, monkeypatch):
    def not_the_owner(*_, **__):
        raise PermissionError(1, "Operation not permitted")

    folder = tmp_path / "logs"
    folder.mkdir(mode=0o755)
    monkeypatch.setattr(os, "chmod", not_the_owner)
    monkeypatch.setattr(Path, "chmod", not_the_owner)
    with pytest.raises(Damaged, match=r"logs is another user's and open to others"):
        make_private(folder)
