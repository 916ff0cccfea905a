"""What a start hands over: nothing of the caller's Python reaches the party or its workers."""

import os
import subprocess
import sys

from src.trust import handover


def test_a_module_in_the_callers_path_runs_in_no_worker(tmp_path):
    canary = tmp_path / "canary"
    (tmp_path / "sitecustomize.py").write_text(f"open({str(canary)!r}, 'w')\n")
    caller = dict(os.environ) | {"PYTHONPATH": str(tmp_path)}
    worker = [sys.executable, "-c", "pass"]
    subprocess.run(worker, env=caller, check=True)
    assert canary.is_file()  # so the attack is real
    canary.unlink()
    subprocess.run(worker, env=handover.environment(caller), check=True)
    assert not canary.exists()


def test_the_rest_of_the_environment_is_the_callers():
    caller = {"PYTHONSTARTUP": "x", "PYTHONHOME": "y", "GLIOMA_LEDGER": "/ledger", "HOME": "/h"}
    assert handover.environment(caller) == {
        "GLIOMA_LEDGER": "/ledger",
        "HOME": "/h",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
