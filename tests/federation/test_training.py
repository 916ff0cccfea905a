"""The whole of it, small: three sites train the real network on synthetic patients."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from scripts.local.enrol import enrol
from scripts.local.processes import run_federation
from scripts.local.workspace import build_workspace, complete_plan
from src.engines.openfl.model_file import read_model
from src.model_vector import Manifest
from tests.federation.conftest import own_port

ROOT = Path(__file__).resolve().parents[2]
ROUNDS = 2

pytestmark = [pytest.mark.federation]


@pytest.fixture(scope="module")
def trained(tmp_path_factory, phantom_sites) -> Path:
    """A run whose sites keep what they trained (an algorithm of one file, named in the plan)."""
    run = tmp_path_factory.mktemp("trained") / "run"
    plan = complete_plan(
        ROOT / "plan" / "plan.yaml",
        rounds=ROUNDS,
        port=own_port(),
        changes=(
            "task_runner.local.steps=3",
            "data_loader.patches.size=[16,16,16]",
            "compression_pipeline.most_cases=5",
        ),
    )
    plan["task_runner"]["settings"]["algorithm"] = {"template": "parts.KeepTrained", "settings": {}}
    build_workspace(plan, run / "aggregator/workspace")
    modules = [ROOT / "tests" / "federation" / "parts.py"]
    workspaces = enrol(run, phantom_sites, modules=modules)
    run_federation(
        run / "aggregator/workspace",
        workspaces,
        plan["network"]["settings"]["agg_port"],
        timeout_s=200,
    )
    return run


def site_model(run: Path, site: str, round_number: int) -> np.ndarray:
    path = run / site / "workspace" / "local_state" / f"trained_{round_number}.npz"
    with np.load(path) as tensors:
        arrays = dict(tensors)
    return Manifest.of(arrays).pack(arrays)


def test_the_final_model_is_the_weighted_mean_of_what_the_sites_trained(trained, phantom_sites):
    cases = {"one": 4, "two": 2, "three": 3}  # 5, 3 and 4 patients, one of each kept for validation
    mean = sum(
        n / sum(cases.values()) * site_model(trained, site, ROUNDS - 1).astype(np.float64)
        for site, n in cases.items()
    )
    final = read_model(
        trained / "aggregator/workspace" / "save" / "final.pbuf", trained / "two/workspace"
    )
    # three sites, caps of 5 + 5 + 5 cases for 9: n * step * W / count, with the largest step
    assert np.abs(final - mean).max() < 3 * 2**-20 * 15 / 9

    plain = np.mean([site_model(trained, site, ROUNDS - 1) for site in cases], axis=0)
    assert np.abs(final - plain).max() > 1e-5  # the weights matter
    assert (
        np.abs(final - read_model(trained / "aggregator/workspace" / "save" / "init.pbuf")).max()
        > 1e-3
    )


def test_the_final_model_was_validated_and_pictures_stayed_at_the_sites(trained, phantom_sites):
    lines = (trained / "aggregator/workspace" / "logs" / "rounds.jsonl").read_text().splitlines()
    last = json.loads(lines[-1])
    assert last["round"] == ROUNDS
    for site in phantom_sites:
        metrics = last["sites"][site]["metrics"]["final_validation"]
        own = json.loads((trained / site / "workspace" / "evaluation" / "cases.json").read_text())
        assert metrics["dice"] == pytest.approx(np.mean([case["dice"]["mean"] for case in own]))
    assert not list((trained / "aggregator/workspace").rglob("slices.npz"))


def test_nothing_that_names_a_case_reaches_the_aggregator(trained):
    kept = trained / "aggregator/workspace"
    for path in kept.rglob("*"):
        if path.is_file() and path.suffix not in (".py", ".zip"):
            assert b"Phantom_" not in path.read_bytes(), path


def run_in(workspace: Path, *words: object) -> tuple[int, str]:
    """Exit code, and what was printed, in one line."""
    shown = subprocess.run(
        [str(word) for word in words], cwd=workspace, capture_output=True, text=True, check=False
    )
    return shown.returncode, " ".join((shown.stdout + shown.stderr).split())


def test_a_site_turns_the_encrypted_model_into_a_torch_file(trained, tmp_path):
    workspace, out = trained / "two" / "workspace", tmp_path / "model.pt"
    final = trained / "aggregator/workspace" / "save" / "final.pbuf"
    words = [sys.executable, "-m", "src", "export", "--model", final, "--out", out]
    code, shown = run_in(workspace, *words)
    assert code == 0, shown
    state = torch.load(out, weights_only=True)["model_state_dict"]
    vector = np.concatenate([tensor.numpy().ravel() for tensor in state.values()])
    np.testing.assert_array_equal(vector, read_model(final, workspace))
    out.unlink()
    _, shown = run_in(trained / "aggregator/workspace", *words)
    assert "no site's workspace" in shown
    assert not out.exists()


def test_openfls_own_command_opens_nothing_and_names_ours(trained, tmp_path):
    workspace, out = trained / "two" / "workspace", tmp_path / "model.pt"
    shutil.copy2(trained / "aggregator/workspace" / "save" / "final.pbuf", workspace / "save")
    fx = Path(sys.executable).with_name("fx")
    code, shown = run_in(workspace, fx, "model", "save", "-i", "save/final.pbuf", "-o", out)
    assert code != 0
    assert "python -m src export" in shown
    assert not out.exists()
