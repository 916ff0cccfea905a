"""A site that is started twice: the second process is told who works in the workspace."""

import subprocess
import sys

import pytest

from scripts.local.processes import running
from src.trust import audit, lock
from tests.patience import HANG_S, until

pytestmark = [pytest.mark.federation]


def test_a_second_process_in_a_workspace_ends_with_77_and_names_the_first(sealed):
    sealed.run()
    workspace, final = sealed.sites["one"], sealed.aggregator / "save" / "final.pbuf"
    told = workspace / lock.FILE
    with running([sealed.start_site("one")]) as parties:  # it calls an aggregator that is gone
        first = parties[0].process.pid
        until(lambda: str(first) in told.read_text(), "the lock")
        parties.append(sealed.start_site("one"))
        assert parties[1].process.wait(HANG_S) == 77
        assert f"is in use by process {first} on" in " ".join(sealed.log("one").split())
        command = [sys.executable, "-m", "src", "export", "--model", final, "--out", "final.pt"]
        shown = subprocess.run(command, cwd=workspace, capture_output=True, text=True, check=False)
    assert shown.returncode == 77, shown.stderr
    assert f"is in use by process {first} on" in shown.stderr
    assert not (workspace / "final.pt").exists()
    lines = audit.verify(workspace / audit.FILE, sealed.certificates())
    assert [line["event"] for line in lines].count("refused") == 1
