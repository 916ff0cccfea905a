"""A site that is started twice: the second process is told who works in the workspace."""

import shutil
import subprocess
import sys

import pytest

from scripts.local.processes import Party, running
from src.differential_privacy import ledger
from src.trust import audit, lock
from tests.federation.drills import seen, start_all, wait_for
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
        command = [sys.executable, "-m", "src", "approve", "-n", "one", "--words", "twelve"]
        signed = subprocess.run(command, cwd=workspace, capture_output=True, text=True, check=False)
    for ended in (shown, signed):
        assert ended.returncode == 77, ended.stderr
        assert f"is in use by process {first} on" in ended.stderr
    assert not (workspace / "final.pt").exists()
    lines = audit.verify(workspace / audit.FILE, sealed.certificates())
    assert [line["event"] for line in lines].count("refused") == 1


def test_a_copy_of_a_site_on_another_machine_is_noticed_and_no_mask_is_used_twice(
    sealed, monkeypatch
):
    """The copy introduces itself later: the aggregator then hears that one, and says so to both."""
    sealed.change("task_runner.seconds=2")
    copy = shutil.copytree(sealed.sites["one"], sealed.folder / "copy", symlinks=True)
    with running(start_all(sealed)) as parties:
        wait_for(sealed, event="received", round=0, what="aggregated_model_validation", site="one")
        monkeypatch.setenv(ledger.VARIABLE, str(sealed.folder / "copys-ledgers"))
        parties.append(Party.start("copy", copy, "collaborator", "start", "-n", "one"))
        first = parties.pop(1)
        assert first.process.wait(HANG_S) == 77
        for party in parties:
            assert party.process.wait(HANG_S) == 0, party.log.read_text()[-2000:]
    assert "this site runs twice" in " ".join(sealed.log("one").split())
    for workspace in (sealed.aggregator, sealed.sites["one"]):
        told = [line for line in seen(workspace) if line["event"] == "two processes"]
        assert [line["site"] for line in told] == ["one"]
    own = audit.verify(sealed.aggregator / audit.FILE, sealed.certificates())
    assert "mask reused" not in {line["event"] for line in own}
