"""A site's tasks: numbers and a model come back, and the plan's seed decides all."""

import json

import numpy as np
import pytest

from src.errors import ModelError, SettingError
from src.plan import plan as plans
from src.rounds.tasks import named
from tests.rounds.conftest import ROOT
from tests.training.faulty import Faulty


def train(tasks, round_number=0, model=None) -> np.ndarray:
    model = tasks.vector() if model is None else model
    return tasks.train("one", round_number, model).model


def test_the_model_is_one_flat_float32_vector(tasks_of):
    model = tasks_of().vector()
    assert model.dtype == np.float32
    assert model.ndim == 1


def test_the_initial_model_comes_from_the_seed_alone(tasks_of):
    first, again = tasks_of("one").vector(), tasks_of("two").vector()
    np.testing.assert_array_equal(first, again)
    assert (first != tasks_of("one", "task_runner.seed=8").vector()).any()


def test_a_site_refuses_demanded_bf16_that_is_wrong(tasks_of):
    tasks = tasks_of("one", "task_runner.precision=bf16")
    assert tasks.at_site(None, "one", {}) == []
    tasks.model = Faulty(2.7)
    with pytest.raises(SettingError, match="off by 170% on patches of 16x16x16"):
        tasks.at_site(None, "one", {})


def test_training_gives_the_model_and_the_loss_and_nothing_else(tasks_of):
    tasks = tasks_of()
    initial = tasks.vector()
    done = tasks.train("one", 0, initial)
    assert set(done.metrics) == {"loss"}
    assert not np.array_equal(done.model, initial)


def test_the_same_round_trains_the_same_model_and_another_round_another(tasks_of):
    first = train(tasks_of())
    np.testing.assert_array_equal(first, train(tasks_of()))
    assert (first != train(tasks_of(), round_number=1)).any()


def test_fresh_sampling_trains_no_round_twice_alike(tasks_of):
    tasks = tasks_of("one", "task_runner.sampling=fresh")
    start = tasks.vector()
    first, second = (train(tasks, model=start) for _ in range(2))
    assert (first != second).any()
    with pytest.raises(SettingError, match="sampling must be"):
        tasks_of("one", "task_runner.sampling=always")


@pytest.mark.parametrize("name", ["plan.yaml", "full.yaml"])
def test_encrypted_plans_sample_afresh(name):
    """A void round's update, and the next one from the same model, are two samples."""
    assert plans.read(ROOT / "plan" / name)["task_runner"]["settings"]["sampling"] == "fresh"


def test_training_starts_from_the_model_that_is_handed_in(tasks_of):
    tasks = tasks_of()
    start = tasks.vector()
    train(tasks, round_number=5)  # leaves other weights in the network
    np.testing.assert_array_equal(train(tasks, model=start), train(tasks_of(), model=start))


def test_a_validation_gives_scores_and_no_model(tasks_of):
    tasks = tasks_of()
    done = tasks.score("validate", 2, tasks.vector())
    assert set(done.metrics) == {"dice", "dice_WT", "dice_TC", "dice_ET"}
    assert done.model is None


def test_the_last_validation_keeps_cases_and_pictures_at_the_site(tasks_of, tmp_path):
    tasks = tasks_of()
    done = tasks.score("evaluate", 3, tasks.vector())
    assert {"cases", "dice", "hd95_mm", "hd95_mm_ET", "empty_WT"} <= set(done.metrics)
    assert (tmp_path / "evaluation").stat().st_mode & 0o077 == 0  # the site's user alone
    cases = json.loads((tmp_path / "evaluation" / "cases.json").read_text())
    assert len(cases) == done.metrics["cases"]
    with np.load(tmp_path / "evaluation" / "slices.npz") as pictures:
        assert pictures["images_0"].shape[0] == 4
        assert pictures["reference_0"].shape == pictures["prediction_0"].shape


def test_progress_tells_numbers_and_no_case(tasks_of, tmp_path):
    train(tasks_of())
    text = (tmp_path / "logs" / "progress.jsonl").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    assert lines[0] == {"task": "train", "round": 0, "done": 0, "total": 2}
    assert set(lines[-1]["result"]) == {"loss"}
    assert "BraTS" not in text


def test_a_model_of_another_network_is_refused(tasks_of):
    with pytest.raises(ModelError, match="Is the plan's network the one"):
        tasks_of().load(np.zeros(5, np.float32))


def test_a_mean_bears_its_metrics_name_and_a_region_its_own():
    summary = {"dice": {"mean": 0.5, "ET": 1}, "cases": 3}
    assert named(summary) == {"dice": 0.5, "dice_ET": 1.0, "cases": 3.0}
