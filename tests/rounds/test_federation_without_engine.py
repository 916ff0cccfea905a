"""A whole encrypted federation through `src/rounds` alone, in a process that has no OpenFL."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests import ceremonies
from tests.ceremonies import Clock
from tests.rounds import one_process_engine as engine

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import json, runpy, sys
from tests import without_engine
without_engine.uninstall()
sys.argv = ["engine", sys.argv[1]]
runpy.run_module("tests.rounds.one_process_engine", run_name="__main__")
"""


@pytest.fixture(scope="module")
def parties(tmp_path_factory) -> Path:
    """The workspaces of an aggregator and four sites after the ceremony."""
    folder = tmp_path_factory.mktemp("four")
    ceremonies.hold(folder, Clock(), tuple(engine.CASES), "plan.yaml")
    return folder


@pytest.fixture(scope="module")
def outcome(parties) -> dict:
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(parties)], cwd=ROOT, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def mean(models: dict[str, list[float]]) -> np.ndarray:
    """The weighted mean in float64."""
    total = sum(engine.CASES[name] for name in models)
    return sum(engine.CASES[name] / total * np.array(model) for name, model in models.items())


def bound(*sites: str) -> float:
    """n * step * W / count; the step is that of a model whose reach is 4."""
    step = 4 * 2.0 ** -(engine.ENCRYPTION.bits - 1)
    count = sum(engine.CASES[name] for name in sites)
    return len(sites) * step * engine.ENCRYPTION.total(engine.CASES) / count


def test_nobody_gets_work_before_having_shown_an_approval(outcome):
    assert "show your approval first" in outcome["unasked"]


def test_a_drop_out_makes_one_round_void_and_the_next_goes_on(outcome):
    assert outcome["gone"] == ["four"]
    assert outcome["voids"] == [None, "no update from four", None, None]


def test_a_site_that_comes_back_only_announces_in_its_first_round(outcome):
    assert outcome["trained"][2]["four"] is None
    assert all(outcome["trained"][2][name] for name in ("one", "two", "three"))


def test_every_site_opens_the_final_model_and_it_is_the_weighted_mean(outcome):
    trained = {name: outcome["trained"][2][name] for name in ("one", "two", "three")}
    models = [np.array(outcome["final"][name]) for name in engine.CASES]
    for model in models:
        np.testing.assert_array_equal(model, models[0])
    assert np.abs(models[0] - mean(trained)).max() < bound(*trained)


def test_after_a_void_round_the_model_is_that_of_the_round_before(outcome):
    """What site one trained from in round 2 is the mean of round 0; its own noise is known."""
    began = np.array(outcome["trained"][2]["one"]) - engine.noise("one", 2)
    expected = mean(outcome["trained"][0])
    assert np.abs(began - expected).max() < bound(*engine.CASES) + 1e-6


def test_the_run_ends_once_all_are_told_and_its_log_names_the_void_round(outcome, parties):
    assert outcome["left"] is True
    lines = (parties / "aggregator" / "logs" / "rounds.jsonl").read_text().splitlines()
    rounds = [json.loads(line) for line in lines]
    assert [line.get("void") for line in rounds] == outcome["voids"]
    assert set(rounds[0]["sites"]["two"]["metrics"]) == {"validation"}
    assert "train_cases" not in rounds[0]["sites"]["two"]
