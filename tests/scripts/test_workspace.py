"""`workspace`: complete, checked, whole or not at all."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from scripts.local import locks
from scripts.local.workspace import build_workspace, complete_plan
from scripts.workspace import workspace
from src.errors import InputError, PlanError

ROOT = Path(__file__).resolve().parents[2]
PLAN = ROOT / "plan" / "plan.yaml"


@pytest.fixture
def built(tmp_path) -> Path:
    plan = complete_plan(PLAN, rounds=4, seed=11, address="agg.example.org", port=50999)
    build_workspace(plan, tmp_path / "ws")
    return tmp_path / "ws"


def test_flags_reach_the_plan_and_nothing_is_looked_up_elsewhere(built):
    plan = yaml.safe_load((built / "plan" / "plan.yaml").read_text())
    assert plan["aggregator"]["settings"]["rounds_to_train"] == 4
    assert plan["task_runner"]["settings"]["seed"] == 11
    assert plan["network"]["settings"]["agg_addr"] == "agg.example.org"
    assert plan["network"]["settings"]["agg_port"] == 50999
    assert "defaults" not in (built / "plan" / "plan.yaml").read_text()


def test_everything_that_fx_needs_is_there(built):
    for name in (".workspace", "requirements.txt", "plan/cols.yaml", "plan/data.yaml"):
        assert (built / name).is_file(), name
    for name in ("save", "logs", "data", "cert", "local_state", "src"):
        assert (built / name).is_dir(), name


def test_the_code_is_the_houses_and_runs_without_the_house(built):
    ours = {p.relative_to(ROOT): p.read_bytes() for p in (ROOT / "src").rglob("*.py")}
    theirs = {p.relative_to(built): p.read_bytes() for p in (built / "src").rglob("*.py")}
    assert ours == theirs
    code = "import src.engines.openfl.data_loader as m; print(m.__file__)"
    shown = subprocess.run(
        [sys.executable, "-c", code], cwd=built, capture_output=True, text=True, check=True
    )
    assert shown.stdout.startswith(str(built))


def test_every_file_that_a_site_installs_is_named_by_its_hash(built):
    packages = {package.name: package for package in locks.read(built / "requirements.txt")}
    assert packages["openfl"].version == "1.9"
    assert packages["protobuf"].version.startswith("5.")
    assert {"torch", "flask", "grpcio"} <= set(packages)
    assert all(package.sha256 for package in packages.values())


def test_an_existing_folder_is_refused_and_left_alone(tmp_path):
    (tmp_path / "ws").mkdir()
    with pytest.raises(InputError, match="Name another --out"):
        build_workspace(complete_plan(PLAN), tmp_path / "ws")
    assert list((tmp_path / "ws").iterdir()) == []


def test_no_partial_workspace_is_left_when_writing_fails(tmp_path, monkeypatch):
    import shutil

    def full_disk(*_, **__):
        raise OSError("No space left on device")

    monkeypatch.setattr(shutil, "copytree", full_disk)
    with pytest.raises(OSError, match="No space"):
        build_workspace(complete_plan(PLAN), tmp_path / "ws")
    assert list(tmp_path.iterdir()) == []


def test_an_address_that_cannot_be_enrolled_is_refused_before_anything_is_made(tmp_path):
    out = tmp_path / "ws"
    shown = CliRunner().invoke(workspace, ["--address", "AGG.Klinik.Example", "--out", str(out)])
    assert isinstance(shown.exception, PlanError)
    assert "aggregator names are lower case: agg.klinik.example" in str(shown.exception)
    assert list(tmp_path.iterdir()) == []


def test_the_next_command_can_be_pasted_and_is_the_runbook_s(tmp_path):
    out = tmp_path / "Klinik & Co"
    shown = CliRunner().invoke(workspace, ["--out", str(out)], catch_exceptions=False)
    command = re.search(r"Next: +(.*)", shown.output)[1]
    assert shlex.split(command)[:6] == ["cd", str(out), "&&", "fx", "plan", "initialize"]
    assert "fx workspace certify" not in shown.output
