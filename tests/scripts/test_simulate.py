"""`simulate` and bad input: the reason is said, and nothing half-written is left."""

import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.local.simulation import _cap_cases
from scripts.local.workspace import complete_plan
from tests.patience import HANG_S, until

ROOT = Path(__file__).resolve().parents[2]


def simulate(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "scripts", "simulate", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def refused(run: Path, *arguments: str) -> str:
    """The error of a run that must not come to be."""
    process = simulate("--out", str(run), *arguments)
    assert process.returncode == 1
    assert "Traceback" not in process.stderr
    assert not (run / "aggregator").exists()
    return " ".join(process.stderr.split())


def test_caps_are_the_cases_that_are_there_but_where_noise_hides_the_sites(phantom_sites):
    found = {}
    for name in ("plan.yaml", "dp_site.yaml"):
        plan = complete_plan(ROOT / "plan" / name)
        _cap_cases(plan, phantom_sites)
        found[name] = plan["compression_pipeline"]["settings"]["cases"]
    assert sorted(found["plan.yaml"].values()) == [3, 4, 5]
    assert found["dp_site.yaml"] == {}


@pytest.fixture
def run(tmp_path) -> Path:
    return tmp_path / "run"


def test_a_misspelt_setting_in_the_plan(run, tmp_path):
    plan = tmp_path / "plan.yaml"
    text = (ROOT / "plan" / "plan.yaml").read_text().replace("learning_rate:", "learning_rat:")
    plan.write_text(text.replace("defaults/", f"{ROOT}/plan/defaults/"))
    error = refused(run, "--plan", str(plan))
    assert "plan.yaml: task_runner.settings.local" in error
    assert "'learning_rat'; did you mean 'learning_rate'?" in error


def test_a_misspelt_template(run):
    error = refused(run, "--set", "task_runner.model.template=src.model.unet.GliomaUnet")
    assert "no 'GliomaUnet'; did you mean 'GliomaUNet'?" in error


def test_a_plan_that_is_not_there(run):
    assert "no such file" in refused(run, "--plan", "plan/nope.yaml")


def test_an_unknown_kind_lists_the_known_ones(run, tmp_path):
    (tmp_path / "data").mkdir()
    error = refused(run, "--data", str(tmp_path / "data"), "--kind", "brats2077")
    assert "brats2077" in error
    assert "brats2021" in error


def test_an_empty_folder(run, tmp_path):
    (tmp_path / "data").mkdir()
    error = refused(run, "--data", str(tmp_path / "data"), "--kind", "brats2021")
    assert "BraTS2021_" in error  # what such a case would be called
    assert not run.exists()


def test_a_truncated_file_names_the_case_and_leaves_nothing(run, tmp_path, phantom_sites):
    shutil.copytree(phantom_sites["one"], tmp_path / "data")
    (tmp_path / "data" / "dataset.yaml").unlink()
    victim = next((tmp_path / "data").rglob("*_t2.nii.gz"))
    victim.write_bytes(victim.read_bytes()[:2000])
    error = refused(run, "--data", str(tmp_path / "data"), "--kind", "brats2021", "--sites", "1")
    assert victim.name in error
    assert "nothing was written" in error
    assert not run.exists()


def test_a_port_in_use(run):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert f"Port {port} is in use" in refused(run, "--set", f"network.agg_port={port}")


def test_an_earlier_run_is_not_replaced_unasked(run):
    (run / "aggregator/workspace").mkdir(parents=True)
    process = simulate("--out", str(run))
    assert process.returncode == 1
    assert "--overwrite" in process.stderr
    assert (run / "aggregator/workspace").is_dir()


def test_what_is_not_a_run_is_never_replaced(run):
    run.mkdir()
    (run / "thesis.tex").write_text("years of work")
    process = simulate("--out", str(run), "--overwrite")
    assert process.returncode == 1
    assert "is not a run of this kit" in process.stderr
    assert (run / "thesis.tex").is_file()


def descendants_of(folder: Path) -> list[int]:
    """Processes that run in a folder below this one."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                where = (entry / "cwd").readlink()
            except OSError:
                continue
            if where.is_relative_to(folder):
                found.append(int(entry.name))
    return found


@pytest.mark.federation
def test_an_interrupted_run_ends_every_process(tmp_path, phantom_sites):
    run = tmp_path / "run"
    sites = phantom_sites["one"].parent
    command = [sys.executable, "-m", "scripts", "simulate", "--out", str(run), "--data", str(sites)]
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
    progress = run / "three" / "workspace" / "logs" / "progress.jsonl"
    until(lambda: progress.is_file() or process.poll() is not None, "training", every_s=0.2)
    assert process.poll() is None, (tmp_path / "log").read_text()
    assert len(descendants_of(run)) >= 4
    process.send_signal(signal.SIGTERM)
    assert process.wait(HANG_S) != 0
    assert descendants_of(run) == []


def test_names_that_cannot_be_enrolled_are_all_told_and_nothing_is_made(run, tmp_path):
    for name in ("1", "Zwei"):
        (tmp_path / "data" / name).mkdir(parents=True)
        (tmp_path / "data" / name / "dataset.yaml").write_text("kind: brats2021\n")
    error = refused(run, "--data", str(tmp_path / "data"))
    assert "'1' is no name for a site: it starts with a digit; site-1 would do" in error
    assert "'Zwei' is no name for a site: it has an upper-case letter (Z)" in error
    assert not run.exists()


def test_a_refusal_takes_no_earlier_run_away(run, tmp_path):
    (run / "aggregator").mkdir(parents=True)
    (tmp_path / "data" / "1").mkdir(parents=True)
    (tmp_path / "data" / "1" / "dataset.yaml").write_text("kind: brats2021\n")
    for data in (tmp_path / "data", run):
        process = simulate("--out", str(run), "--data", str(data), "--overwrite")
        assert process.returncode == 1
        assert (run / "aggregator").is_dir()


def test_a_refusal_after_the_workspace_was_made_leaves_nothing(run, tmp_path, phantom_sites):
    for name in ("one", "two"):  # too few for an encrypted sum
        shutil.copytree(phantom_sites[name], tmp_path / "data" / name)
    refused(run, "--data", str(tmp_path / "data"))
    assert not run.exists()
