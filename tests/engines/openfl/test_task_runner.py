"""The task runner: what leaves a site in each task, and that the plan's seed decides all."""

import json

import numpy as np
import pytest
from openfl.utilities import TensorKey

from src.errors import ModelError, PlanError, SettingError
from src.model_vector import TENSOR
from src.plan import plan as plans
from tests.engines.openfl.conftest import ROOT
from tests.training.faulty import Faulty


def train(runner, site="one", round_number=0, model=None):
    model = runner.get_tensor_dict()[TENSOR] if model is None else model
    sent, kept = runner.train_task(site, round_number, {TENSOR: model})
    assert kept == {}
    return sent


def trained_model(sent) -> np.ndarray:
    return next(tensor for key, tensor in sent.items() if "trained" in key.tags)


def names(sent) -> set[str]:
    return {key.tensor_name for key in sent}


def test_the_model_travels_as_one_flat_float32_tensor(runner_of):
    (model,) = runner_of().get_tensor_dict().values()
    assert model.dtype == np.float32
    assert model.ndim == 1


def test_a_site_refuses_demanded_bf16_that_is_wrong(runner_of):
    runner = runner_of("one", "task_runner.precision=bf16")
    assert runner.at_site(None, "one", {}) == []
    runner.model = Faulty(2.7)
    with pytest.raises(SettingError, match="off by 170% on patches of 16x16x16"):
        runner.at_site(None, "one", {})


def test_the_initial_model_comes_from_the_seed_alone(runner_of):
    first, again = runner_of("one").get_tensor_dict(), runner_of("two").get_tensor_dict()
    other = runner_of("one", "task_runner.seed=8").get_tensor_dict()
    np.testing.assert_array_equal(first[TENSOR], again[TENSOR])
    assert (first[TENSOR] != other[TENSOR]).any()


def test_training_sends_the_model_and_the_loss_and_nothing_else(runner_of):
    runner = runner_of()
    sent = train(runner)
    assert names(sent) == {TENSOR, "loss"}
    key = next(key for key in sent if key.tensor_name == TENSOR)
    assert key == TensorKey(TENSOR, "one", 0, False, ("trained",))
    assert sent[TensorKey("loss", "one", 0, True, ("metric",))].ndim == 0
    assert not np.array_equal(trained_model(sent), runner_of().get_tensor_dict()[TENSOR])


def test_the_same_round_trains_the_same_model_again_and_another_round_another(runner_of):
    first = trained_model(train(runner_of()))
    np.testing.assert_array_equal(first, trained_model(train(runner_of())))
    assert (first != trained_model(train(runner_of(), round_number=1))).any()


def test_fresh_sampling_trains_no_round_twice_alike(runner_of):
    runner = runner_of("one", "task_runner.sampling=fresh")
    start = runner.get_tensor_dict()[TENSOR]
    first, second = (trained_model(train(runner, model=start)) for _ in range(2))
    assert (first != second).any()
    with pytest.raises(PlanError, match="sampling must be"):
        runner_of("one", "task_runner.sampling=always")


@pytest.mark.parametrize("name", ["plan.yaml", "full.yaml"])
def test_encrypted_plans_sample_afresh(name):
    """A void round's update, and the next one from the same model, are two samples."""
    assert plans.read(ROOT / "plan" / name)["task_runner"]["settings"]["sampling"] == "fresh"


def test_training_starts_from_the_model_that_is_handed_in(runner_of):
    runner = runner_of()
    start = runner.get_tensor_dict()[TENSOR]
    trained_model(train(runner, round_number=5))  # leaves other weights in the network
    np.testing.assert_array_equal(
        trained_model(train(runner, model=start)), trained_model(train(runner_of(), model=start))
    )


def test_only_the_mean_dice_of_the_global_model_may_choose_the_best(runner_of):
    runner = runner_of()
    sent, _ = runner.validate_task("one", 2, runner.get_tensor_dict(), apply="global")
    assert names(sent) == {"dice", "dice_WT", "dice_TC", "dice_ET"}
    assert [k.tensor_name for k in sent if "validate_agg" in k.tags] == ["dice"]
    assert all(tensor.ndim == 0 and key.report for key, tensor in sent.items())
    local, _ = runner.validate_task("one", 2, runner.get_tensor_dict(), apply="local")
    assert not any("validate_agg" in key.tags for key in local)


def test_local_validation_asks_for_the_sites_own_model(runner_of):
    runner = runner_of()
    (own,) = runner.get_required_tensorkeys_for_function("validate_task", apply="local")
    (shared,) = runner.get_required_tensorkeys_for_function("train_task")
    assert (own.origin, own.tags) == ("LOCAL", ("trained",))
    assert (shared.origin, shared.tags) == ("GLOBAL", ("model",))


def test_the_final_validation_sends_numbers_and_keeps_cases_and_pictures(runner_of, tmp_path):
    runner = runner_of()
    sent, kept = runner.evaluate_task("one", 3, runner.get_tensor_dict())
    assert kept == {}
    assert {"cases", "dice", "hd95_mm", "hd95_mm_ET", "empty_WT"} <= names(sent)
    assert all(tensor.ndim == 0 for tensor in sent.values())
    assert (tmp_path / "evaluation").stat().st_mode & 0o077 == 0  # the site's user alone
    cases = json.loads((tmp_path / "evaluation" / "cases.json").read_text())
    assert len(cases) == sent[next(k for k in sent if k.tensor_name == "cases")]
    with np.load(tmp_path / "evaluation" / "slices.npz") as pictures:
        assert pictures["images_0"].shape[0] == 4
        assert pictures["reference_0"].shape == pictures["prediction_0"].shape


def test_progress_tells_numbers_and_no_case(runner_of, tmp_path):
    runner = runner_of()
    train(runner)
    text = (tmp_path / "logs" / "progress.jsonl").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    assert lines[0] == {"task": "train", "round": 0, "done": 0, "total": 2}
    assert set(lines[-1]["result"]) == {"loss"}
    assert "BraTS" not in text


def test_a_model_of_another_network_is_refused(runner_of):
    with pytest.raises(ModelError, match="Is the plan's network the one"):
        runner_of().set_tensor_dict({TENSOR: np.zeros(5, np.float32)})


def test_native_files_bring_the_weights_back(runner_of, tmp_path):
    runner = runner_of()
    train(runner)
    runner.save_native(str(tmp_path / "model.pt"))
    other = runner_of()
    other.load_native(str(tmp_path / "model.pt"))
    np.testing.assert_array_equal(runner.get_tensor_dict()[TENSOR], other.get_tensor_dict()[TENSOR])
