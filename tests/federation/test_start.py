"""`python -m src start`: the installed kit verifies, then the same process is `fx`."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from openfl.federated import Plan

from scripts.attack.hostile_bundles import CANARY, dated_copy, python, unchecked_copy
from scripts.local import fx
from scripts.local.processes import Party, running, wait_for_port
from src.engines.openfl.parsed import uuid_of
from src.errors import Refused
from src.plan import plan as plans
from src.trust import compiled
from tests.federation.conftest import Federation
from tests.patience import HANG_S, until

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.federation


def start(workspace: Path, name: str, *more: str) -> Party:
    """Typed in the kit, as the runbook says."""
    log = workspace / "logs" / f"{name}.log"
    command = [sys.executable, "-m", "src", "start", "-n", name, "--workspace", str(workspace)]
    caller = {"PYTHONPATH": str(workspace / "logs"), "PYTHONSTARTUP": "/nowhere"}
    with log.open("w") as file:
        process = subprocess.Popen(
            [*command, *more],
            cwd=ROOT,
            env=fx.environment() | caller,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return Party(name, log, process)


def plain(workspace: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(fx.FX), *arguments],
        cwd=workspace,
        env=fx.environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=HANG_S,
    )


def test_a_started_site_runs_no_compiled_copy_and_takes_part(federation: Federation):
    site = federation.sites["one"]
    unchecked_copy(site)
    port = federation.plan["network"]["settings"]["agg_port"]
    with running([federation.start_aggregator()]) as parties:
        wait_for_port(parties[0], port)
        parties += [federation.start_site("two"), federation.start_site("three")]
        one = start(site, "one")
        parties.append(one)
        words = Path(f"/proc/{one.process.pid}/cmdline")
        until(lambda: b"collaborator" in words.read_bytes(), "the process that is fx")
        codes = [party.process.wait(HANG_S) for party in parties]
        assert codes == [0, 0, 0, 0], federation.log("one")
    assert not (site.parent / CANARY).exists()
    assert compiled.folders(site) == []
    text = federation.log("one")
    assert "Removed:  1 compiled copies of the code, unread" in text
    assert "Verified: " in text


def test_what_was_changed_since_is_refused_before_it_runs(federation: Federation):
    site = federation.sites["one"]
    (site / "src" / "errors.py").write_text(python(site))
    party = start(site, "one")
    assert party.process.wait(HANG_S) == Refused.exit_code
    assert "is for bundle" in party.log.read_text()
    assert not (site.parent / CANARY).exists()


@pytest.mark.parametrize("name", ["quick.yaml", "plan.yaml"])
def test_plain_fx_does_not_run_another_plan(federation: Federation, name):
    site = federation.sites["one"]
    shutil.copy2(site / "plan" / "plan.yaml", site / "logs" / name)
    ended = plain(site, "collaborator", "start", "-n", "one", "-p", f"logs/{name}")
    assert ended.returncode == Refused.exit_code
    assert "expected plan/plan.yaml" in " ".join(ended.stdout.split())


def test_plain_fx_does_not_take_another_list_of_sites(federation: Federation):
    aggregator = federation.aggregator
    shutil.copy2(aggregator / "plan" / "cols.yaml", aggregator / "logs" / "cols.yaml")
    ended = plain(aggregator, "aggregator", "start", "-c", "logs/cols.yaml")
    assert ended.returncode == Refused.exit_code
    assert "expected plan/cols.yaml" in " ".join(ended.stdout.split())


def test_plain_fx_ends_where_a_false_copy_may_have_run(federation: Federation):
    site = federation.sites["one"]
    dated_copy(site)
    ended = plain(site, "collaborator", "start", "-n", "one")
    assert (site.parent / CANARY).exists()  # what `start` prevents: here the check comes later
    assert ended.returncode == Refused.exit_code
    assert "not what its source compiles to" in " ".join(ended.stdout.split())


def test_openfl_reads_the_plan_as_the_gate_does(federation: Federation):
    path = federation.aggregator / "plan" / "plan.yaml"
    parsed = Plan.parse(path)
    assert parsed.federation_uuid == uuid_of(path)
    assert Plan.parse(path, resolve=False).config == plans.as_openfl_reads(path)
    changed = yaml.safe_load(path.read_text())
    changed["collaborator"]["settings"]["patience_s"] = 1
    path.write_text(yaml.safe_dump(changed))
    assert parsed.federation_uuid != uuid_of(path)
