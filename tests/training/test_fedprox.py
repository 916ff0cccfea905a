"""FedProx against the closed form of a quadratic, and against its own limits."""

import numpy as np
import pytest
import torch
from torch import nn

from scripts.benchmark.toy import train, unlike_sites
from src.errors import SettingError
from src.training.fedavg import FedAvg
from src.training.fedprox import FedProx
from src.training.local import LocalTraining

SITE = unlike_sites()[0]
SETTINGS = {"learning_rate": 0.05, "weight_decay": 0.0, "clip_norm": 1e9}


def stepped(mu: float, steps: int, rate: float, curvature: float, best: float, start: float):
    """Steps of gradient descent on curvature/2 (w - best)^2."""
    model = nn.Linear(1, 1, bias=False).double()
    nn.init.constant_(model.weight, start)
    optimiser, algorithm = torch.optim.SGD(model.parameters(), rate), FedProx(mu=mu)
    algorithm.begin_round(model, 0)
    for _ in range(steps):
        model.weight.grad = curvature * (model.weight.detach() - best)
        algorithm.adjust_gradients(model)
        optimiser.step()
    algorithm.end_round(model, steps, rate)
    return model.weight.item()


@pytest.mark.parametrize(("mu", "steps"), [(0.0, 3), (0.5, 1), (0.5, 7), (4.0, 7)])
def test_steps_on_a_quadratic_by_the_closed_form(mu, steps):
    """With the pull the minimum is at (a b + mu x) / (a + mu); each step shrinks the distance to it
    by 1 - lr (a + mu).
    """
    a, b, x, rate = 2.0, 3.0, -1.0, 0.1
    minimum = (a * b + mu * x) / (a + mu)
    expected = minimum + (1 - rate * (a + mu)) ** steps * (x - minimum)
    assert stepped(mu, steps, rate, a, b, x) == pytest.approx(expected, abs=1e-12)


def test_without_a_pull_it_is_fedavg():
    local, start = LocalTraining(steps=4, **SETTINGS), np.zeros(100)
    prox, plain = (train(SITE, found, local, start, 0) for found in (FedProx(mu=0.0), FedAvg()))
    np.testing.assert_array_equal(prox, plain)


def test_the_stronger_the_pull_the_less_far_a_site_goes():
    local, start = LocalTraining(steps=40, **SETTINGS), np.zeros(100)
    ways = [np.abs(train(SITE, FedProx(mu=mu), local, start, 0)).max() for mu in (0, 0.1, 1, 10)]
    assert ways == sorted(ways, reverse=True)
    assert ways[3] < ways[0] / 5


def test_a_pull_away_from_the_model_is_refused():
    with pytest.raises(SettingError, match="mu must be 0 or more"):
        FedProx(mu=-1.0)
