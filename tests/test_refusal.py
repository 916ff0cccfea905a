"""A refusal travels to the other party; an error of ours ends a process in one line."""

import errno
import subprocess
import sys
from pathlib import Path

import pytest

from src.errors import Damaged, InputError, Refused, RunFailed
from src.refusal import errors_end_the_command, errors_end_the_process, marked, reason_in

ROOT = Path(__file__).resolve().parent.parent
FULL = OSError(errno.ENOSPC, "No space left on device")  # as `file.write` raises it: no path


def test_a_reason_survives_its_way_through_another_errors_text():
    travelled = f"Exception calling application: {marked('two was revoked.')}"
    assert reason_in(travelled) == "two was revoked."
    assert reason_in("some other error") is None


@pytest.mark.parametrize(("kind", "code"), [(Refused, 77), (Damaged, 65), (RunFailed, 1)])
def test_an_error_of_ours_ends_the_process_with_its_code_and_its_reason(kind, code, caplog):
    with pytest.raises(SystemExit) as ended, errors_end_the_process():
        raise kind("nothing is approved here")
    assert ended.value.code == code
    assert f"{kind.__name__}: nothing is approved here" in caplog.text


def test_a_bug_passes_the_top_of_a_process():
    with pytest.raises(ValueError, match="a bug"), errors_end_the_process():
        raise ValueError("a bug")


@pytest.mark.parametrize(
    "error", [InputError("expected x, got y"), FULL, PermissionError(13, "denied", "plan.yaml")]
)
def test_a_users_mistake_is_one_line_of_the_command(error, capsys):
    with pytest.raises(SystemExit) as ended, errors_end_the_command():
        raise error
    assert ended.value.code == 1
    assert capsys.readouterr().err.startswith(f"error: {error}")


@pytest.mark.parametrize("error", [ValueError("of numpy"), RuntimeError("of torch"), OSError("?")])
def test_a_bug_keeps_its_traceback(error):
    with pytest.raises(type(error), match=f"^{error}".replace("?", ".")), errors_end_the_command():
        raise error


@pytest.mark.parametrize("top", ["src", "scripts"])
def test_both_command_lines_tell_a_mistake_but_not_a_bug(top, tmp_path):
    """A verb that raises what it is told, under the real top."""
    program = f"""
import runpy, sys, click
import numpy as np
from src.errors import InputError
click.Group.main = lambda *_, **__: {{"mistake": mistake, "bug": bug}}[sys.argv[1]]()
def mistake(): raise InputError("a mistake")
def bug(): np.zeros(3).reshape(2, 2)
runpy.run_module("{top}", run_name="__main__", alter_sys=False)
"""
    path = tmp_path / "program.py"
    path.write_text(program)
    shown = {
        what: subprocess.run(
            [sys.executable, path, what],
            cwd=ROOT,
            env={"PYTHONPATH": str(ROOT), "PATH": ""},
            capture_output=True,
            text=True,
            check=False,
        )
        for what in ("mistake", "bug")
    }
    assert (shown["mistake"].returncode, shown["mistake"].stderr) == (1, "error: a mistake\n")
    assert "Traceback" in shown["bug"].stderr
    assert "ValueError: cannot reshape" in shown["bug"].stderr
