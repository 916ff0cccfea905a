"""Local training: it learns, it stops at nonsense, and an algorithm's hooks are called in order."""

import numpy as np
import pytest
import torch
from torch import nn

from src.errors import RunFailed, SettingError
from src.model.losses import DiceBCE
from src.training.compute import Compute
from src.training.fedavg import FedAvg
from src.training.local import LocalTraining

CPU = Compute("cpu", "fp32")


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Conv3d(4, 3, 1)


def batches(steps: int):
    """Voxels whose first channel decides all three regions."""
    rng = np.random.default_rng(0)
    for _ in range(steps):
        images = rng.normal(size=(2, 4, 6, 6, 6)).astype(np.float32)
        yield images, np.repeat(images[:, :1] > 0, 3, axis=1).astype(np.float32)


class Data:
    """A site whose batches are these."""

    def __init__(self, given) -> None:
        self.given = given

    def get_train_data_size(self) -> int:
        return 4

    def training_batches(self, steps, batch_size, rng):
        return self.given


def run(model: nn.Module, local: LocalTraining, algorithm=None, round_number=0, data=None) -> float:
    return local.run(
        model,
        Data(batches(local.steps) if data is None else data),
        rng=np.random.default_rng(0),
        loss=DiceBCE(),
        algorithm=algorithm or FedAvg(),
        compute=CPU,
        round_number=round_number,
    )


def test_the_loss_falls():
    model, local = network(), LocalTraining(steps=30)
    first = run(model, local)
    assert run(model, local) < 0.7 * first


def test_one_step_by_hand():
    model, local = network(), LocalTraining(steps=1, momentum=0.0, weight_decay=0.0)
    before = model.weight.detach().clone()
    images, regions = next(batches(1))
    loss = DiceBCE()(model(torch.from_numpy(images)), torch.from_numpy(regions))
    (gradient,) = torch.autograd.grad(loss, model.weight)
    run(model, local)
    torch.testing.assert_close(model.weight.detach(), before - 0.1 * gradient)


def test_the_learning_rate_decays_with_the_round():
    moves = []
    for round_number in (0, 3):
        model = network()
        before = model.weight.detach().clone()
        local = LocalTraining(steps=1, decay=0.5, momentum=0.0, weight_decay=0.0)
        run(model, local, round_number=round_number)
        moves.append((model.weight.detach() - before).norm().item())
    assert moves[1] == pytest.approx(moves[0] / 8, rel=1e-4)


def test_large_gradients_are_clipped():
    model = network()
    before = torch.cat([p.detach().flatten() for p in model.parameters()])
    local = LocalTraining(steps=1, learning_rate=1.0, momentum=0.0, weight_decay=0, clip_norm=1e-3)
    run(model, local)
    after = torch.cat([p.detach().flatten() for p in model.parameters()])
    assert (after - before).norm().item() == pytest.approx(1e-3, rel=1e-3)


def test_only_what_is_tuned_moves():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv3d(4, 8, 1), nn.GroupNorm(2, 8), nn.Conv3d(8, 3, 1))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    run(model, LocalTraining(steps=2, trainable=["GroupNorm"]))
    moved = {name for name, t in model.state_dict().items() if not torch.equal(t, before[name])}
    assert moved == {"1.weight", "1.bias"}
    run(model, LocalTraining(steps=1))  # what was left alone then is not frozen for ever
    assert not torch.equal(model[0].weight, before["0.weight"])


def test_a_word_that_names_nothing_is_refused():
    with pytest.raises(SettingError, match="'head' names no parameter"):
        run(network(), LocalTraining(steps=1, trainable=["head"]))


def test_an_algorithm_acts_before_between_and_after_the_steps():
    class Recorder(FedAvg):
        calls: tuple = ()

        def begin_round(self, model, round_number):
            self.calls += (("begin", round_number),)

        def adjust_gradients(self, model):
            self.calls += ("adjust",)
            for parameter in model.parameters():
                parameter.grad.zero_()

        def after_step(self, model, optimiser):
            self.calls += (("after", optimiser.param_groups[0]["lr"]),)

        def end_round(self, model, steps, learning_rate):
            self.calls += (("end", steps, learning_rate),)

    model, recorder = network(), Recorder()
    before = model.weight.detach().clone()
    run(model, LocalTraining(steps=2, weight_decay=0.0), recorder, round_number=4)
    step = ("adjust", ("after", 0.1))
    assert recorder.calls == (("begin", 4), *step, *step, ("end", 2, 0.1))
    torch.testing.assert_close(model.weight.detach(), before)  # the adjusted gradient counts


def test_what_an_algorithm_does_after_the_step_no_momentum_carries_on():
    class Shift(FedAvg):
        def adjust_gradients(self, model):
            for parameter in model.parameters():
                parameter.grad.zero_()

        def after_step(self, model, optimiser):
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter.add_(1.0)

    model = network()
    before = model.weight.detach().clone()
    run(model, LocalTraining(steps=5, weight_decay=0.0, momentum=0.9), Shift())
    torch.testing.assert_close(model.weight.detach(), before + 5)


def test_a_loss_that_is_not_finite_stops_with_step_and_round():
    images = np.full((2, 4, 2, 2, 2), np.nan, np.float32)
    data = [(images, np.zeros((2, 3, 2, 2, 2), np.float32))]
    with pytest.raises(RunFailed, match=r"nan in step 1 of round 7: .*learning_rate"):
        run(network(), LocalTraining(steps=1), round_number=7, data=data)


@pytest.mark.parametrize(("epochs", "cases", "steps"), [(1, 4, 2), (1, 5, 3), (3, 1, 3)])
def test_epochs_are_passes_over_the_cases(epochs, cases, steps):
    assert LocalTraining(epochs=epochs).steps_for(cases) == steps


@pytest.mark.parametrize("settings", [{}, {"steps": 2, "epochs": 1}])
def test_steps_or_epochs_but_not_both(settings):
    with pytest.raises(SettingError, match="either steps or epochs"):
        LocalTraining(**settings)


def test_a_batch_of_one_is_refused():
    with pytest.raises(SettingError, match="batch_size must be a whole number of at least 2"):
        LocalTraining(steps=1, batch_size=1)
