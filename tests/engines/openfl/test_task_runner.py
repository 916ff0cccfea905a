"""The task runner: under which keys the tasks' numbers and models go to OpenFL."""

import numpy as np
from openfl.utilities import TensorKey

from src.model_vector import TENSOR


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


def test_training_sends_the_model_and_the_loss_and_nothing_else(runner_of):
    runner = runner_of()
    sent = train(runner)
    assert names(sent) == {TENSOR, "loss"}
    key = next(key for key in sent if key.tensor_name == TENSOR)
    assert key == TensorKey(TENSOR, "one", 0, False, ("trained",))
    assert sent[TensorKey("loss", "one", 0, True, ("metric",))].ndim == 0
    assert not np.array_equal(trained_model(sent), runner_of().get_tensor_dict()[TENSOR])


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


def test_the_final_validation_sends_numbers_alone(runner_of):
    runner = runner_of()
    sent, kept = runner.evaluate_task("one", 3, runner.get_tensor_dict())
    assert kept == {}
    assert {"cases", "dice", "hd95_mm", "hd95_mm_ET", "empty_WT"} <= names(sent)
    assert all(tensor.ndim == 0 for tensor in sent.values())


def test_native_files_bring_the_weights_back(runner_of, tmp_path):
    runner = runner_of()
    train(runner)
    runner.save_native(str(tmp_path / "model.pt"))
    other = runner_of()
    other.load_native(str(tmp_path / "model.pt"))
    np.testing.assert_array_equal(runner.get_tensor_dict()[TENSOR], other.get_tensor_dict()[TENSOR])
