"""SCAFFOLD: its algebra by hand, its control variate from two models, its place after the step."""

import numpy as np
import pytest
import torch
from torch import nn

from scripts.benchmark.toy import FEATURES, excess_by_round, unlike_sites
from src.errors import Damaged
from src.training.fedavg import FedAvg
from src.training.local import LocalTraining
from src.training.memory import Memory
from src.training.scaffold import Scaffold
from tests.training.rounds import SETTINGS, Rounds

SITES = unlike_sites()
ALL = tuple(site.name for site in SITES)
FEW = ALL[:3]


class Quiet(Memory):
    """A memory in which a round before has left these control variates."""

    def __init__(self, c: float, own: float) -> None:
        super().__init__()
        arrays = {"c": np.array([c]), "own": np.array([own])}
        self.keep(0, before=arrays, after={})


@pytest.mark.parametrize(
    ("start", "gradient", "c", "own", "rate", "steps", "corrected", "new"),
    [
        # y = x - K lr (g + c - c_i); c_i' = c_i - c + (x - y) / (K lr) = g
        (2.0, 0.5, 0.0, 0.0, 0.1, 4, 2.0 - 0.4 * 0.5, 0.5),
        (1.0, 0.5, 0.3, -0.2, 0.1, 5, 1.0 - 0.5 * (0.5 + 0.3 + 0.2), 0.5),
    ],
)
def test_steps_and_new_control_variate_by_hand(
    start, gradient, c, own, rate, steps, corrected, new
):
    model = nn.Linear(1, 1, bias=False).double()
    nn.init.constant_(model.weight, start)
    scaffold, memory = Scaffold(), Quiet(c, own)
    scaffold.remember(memory)
    scaffold.begin_round(model, 0)
    optimiser = torch.optim.SGD(model.parameters(), rate)
    for _ in range(steps):
        model.weight.grad = torch.full_like(model.weight, gradient)
        optimiser.step()
        scaffold.after_step(model, optimiser)
    assert model.weight.item() == pytest.approx(corrected, abs=1e-12)
    scaffold.end_round(model, steps, rate)
    assert memory.recall(1).after["own"] == pytest.approx(new, abs=1e-12)


def test_one_local_step_is_gradient_descent_on_all_cases(tmp_path):
    """K = 1: y = x - lr (g_i + c - c_i), and sum p_i c = sum p_i c_i: drift has no place."""
    local = LocalTraining(**SETTINGS | {"steps": 1}, momentum=0.0)
    corrected, plain = (
        Rounds(SITES, algorithm, tmp_path / algorithm.__name__, local)
        for algorithm in (Scaffold, FedAvg)
    )
    for _ in range(5):
        corrected.play()
        plain.play()
    np.testing.assert_allclose(corrected.model, plain.model, atol=1e-7)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_c_from_two_models_is_the_mean_of_all_c_i_whatever_drops_out(tmp_path, momentum):
    """Over 60 rounds, with a void round in seven, sites that leave and come back, and each site's
    process killed after every round.
    """
    local = LocalTraining(**SETTINGS, momentum=momentum)
    federation = Rounds(SITES, Scaffold, tmp_path, local)
    again, largest, began_anew = 0, 0.0, 0
    for number in range(60):
        roster = FEW if number in (17, 18, 40, 41, 42) else ALL
        missing = roster[number % 3] if number % 7 == 3 else ""
        changed = number in (17, 19, 40, 43)
        federation.play(*roster, missing=missing)
        federation.number = number  # `share` is of the round that was played
        working = {name: federation.working[name] for name in roster if name != missing}
        if changed or number == 0:
            assert all(not found.c.any() and not found.own.any() for found in working.values())
            began_anew += 1
        elif not missing:
            mean = sum(federation.share(name) * found.own for name, found in working.items())
            gaps = [float((found.c - mean).abs().max()) for found in working.values()]
            largest, again = max(largest, *gaps), again + bool(mean.any())
        federation.number = number + 1
    assert began_anew == 5
    assert again > 40
    assert largest < 1e-12


def test_a_void_round_leaves_both_control_variates_as_they_were(tmp_path):
    federation = Rounds(SITES, Scaffold, tmp_path)
    for _ in range(3):
        federation.play()
    federation.play(missing=ALL[3])
    before = {name: federation.working[name] for name in ALL[:3]}
    federation.play()
    for name in ALL[:3]:
        assert torch.equal(federation.working[name].c, before[name].c)
        assert torch.equal(federation.working[name].own, before[name].own)
        assert before[name].c.any()


def test_a_round_that_is_trained_again_begins_as_it_did_the_first_time(tmp_path):
    """The process is killed after training, before its update leaves."""
    federation = Rounds(SITES, Scaffold, tmp_path)
    federation.play()
    federation.open()
    first = federation.train(ALL[0])
    np.testing.assert_array_equal(federation.train(ALL[0]), first)


def test_a_site_that_comes_late_begins_at_zero_and_so_do_all(tmp_path):
    federation = Rounds(SITES, Scaffold, tmp_path)
    for _ in range(2):
        federation.play(*FEW)
    assert federation.working[ALL[0]].c.any()
    federation.play()
    assert not any(federation.working[name].c.any() for name in ALL)
    federation.play()
    assert all(federation.working[name].c.any() for name in ALL)


def test_a_site_that_lost_its_control_variate_refuses_and_names_the_way_out(tmp_path):
    federation = Rounds(SITES, Scaffold, tmp_path)
    for _ in range(2):
        federation.play()
    (tmp_path / ALL[1] / "algorithm.npz").unlink()
    federation.open()
    with pytest.raises(Damaged, match=r"variate is not in .*algorithm.npz.*misses a round"):
        federation.train(ALL[1])


def test_a_site_with_an_older_copy_of_its_control_variate_refuses(tmp_path):
    federation = Rounds(SITES, Scaffold, tmp_path)
    federation.play()
    path = tmp_path / ALL[1] / "algorithm.npz"
    older = path.read_bytes()
    federation.play()
    path.write_bytes(older)
    federation.open()
    with pytest.raises(Damaged, match="its control variate is not in"):
        federation.train(ALL[1])


def test_what_is_not_trained_is_not_corrected(tmp_path):
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    model[0].requires_grad_(False)
    scaffold = Scaffold()
    scaffold.begin_round(model, 0)
    assert scaffold.c.shape == (3,)


class InTheGradient(Scaffold):
    """The correction where it is usually written down: added to the gradient."""

    def adjust_gradients(self, model):
        for parameter, piece in zip(model.parameters(), self._correction, strict=True):
            parameter.grad.add_(piece)

    def after_step(self, model, optimiser):
        pass


def test_with_momentum_the_correction_helps_after_the_step_and_harms_in_the_gradient():
    local = LocalTraining(steps=50, learning_rate=0.05, momentum=0.9, weight_decay=0.0)
    plain, after, before = (
        excess_by_round(SITES, algorithm, local, 12)[-1]
        for algorithm in (FedAvg, Scaffold, InTheGradient)
    )
    assert after < plain / 4
    assert before > 2 * plain
    assert FEATURES == 20
