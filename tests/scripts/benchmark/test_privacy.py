"""The trade-off of privacy, small: rows, gains over the same seed's start, the figure."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from scripts.benchmark.privacy import privacy
from scripts.benchmark.privacy_results import CELLS, PLAIN, PRETRAINED, summaries


def run(seed: int, name: str, dice: float, members, others) -> dict:
    losses = {"1": {"members": list(members), "others": list(others)}}
    return {"seed": seed, "name": name, "dice": dict.fromkeys(CELLS, dice), "losses": losses}


def test_gains_are_over_the_pretrained_network_of_the_same_seed():
    rng = np.random.default_rng(0)
    runs = [
        run(0, PRETRAINED, 0.5, rng.random(9), rng.random(9)),
        run(1, PRETRAINED, 0.3, rng.random(9), rng.random(9)),
        run(0, "epsilon 8", 0.6, rng.random(9), rng.random(9)),
        run(1, "epsilon 8", 0.5, rng.random(9), 2 + rng.random(9)),
    ]
    zero, private = summaries(runs)
    assert zero["gain"] == 0
    assert private["gain"] == pytest.approx(0.15)
    assert private["gain_spread"] == pytest.approx(np.std([0.1, 0.2], ddof=1))
    assert private["dice"]["WT"] == pytest.approx(0.55)
    assert private["membership_auc"] > 0.6  # the second site's members have lower losses


def test_a_small_study_runs_and_is_kept(tmp_path):
    words = ["--seeds", "2", "--epsilons", "8,inf", "--patients", "2", "--others", "2"]
    words += ["--pretraining", "10", "--size", "32"]
    words += ["--set", "aggregator.rounds_to_train=1", "--set", "task_runner.local.steps=1"]
    words += ["--set", "data_loader.patches.size=[16,16,16]"]
    words += ["--json", str(tmp_path / "p.json"), "--figure", str(tmp_path / "p.png")]
    shown = CliRunner().invoke(privacy, words, catch_exceptions=False)
    assert shown.exit_code == 0, shown.output
    kept = json.loads((tmp_path / "p.json").read_text())
    assert [row["name"] for row in kept["rows"]] == [PRETRAINED, "epsilon 8", "no noise", PLAIN]
    assert len(kept["runs"]) == 8
    noise = {row["name"]: row["noise_multiplier"] for row in kept["rows"]}
    assert noise["epsilon 8"] > 0
    assert noise["no noise"] == 0
    assert (tmp_path / "p.png").read_bytes()[:4] == b"\x89PNG"
