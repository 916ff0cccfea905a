"""FedNova: how many gradients steps amount to, counted by torch itself; and what a site sends."""

import numpy as np
import pytest
import torch
from torch import nn

from scripts.benchmark.toy import excess_by_round, train, unlike_sites
from src.errors import SettingError
from src.training.fedavg import FedAvg
from src.training.fednova import FedNova, gradients_in
from src.training.local import LocalTraining

SITES = unlike_sites()


@pytest.mark.parametrize("steps", [1, 2, 3, 20])
@pytest.mark.parametrize(("momentum", "nesterov"), [(0.0, False), (0.9, False), (0.9, True)])
def test_the_number_of_gradients_is_how_far_torch_goes_by_a_gradient_of_one(
    steps, momentum, nesterov
):
    weight = nn.Parameter(torch.zeros(1, dtype=torch.float64))
    optimiser = torch.optim.SGD([weight], 1.0, momentum=momentum, nesterov=nesterov)
    for _ in range(steps):
        weight.grad = torch.ones_like(weight)
        optimiser.step()
    found = gradients_in(steps, momentum, nesterov=nesterov)
    assert -weight.item() == pytest.approx(found, rel=1e-12)


def test_three_steps_by_hand():
    assert gradients_in(3, 0.0, nesterov=False) == 3
    assert gradients_in(3, 0.5, nesterov=False) == pytest.approx(1 + 1.5 + 1.75)
    assert gradients_in(3, 0.5, nesterov=True) == pytest.approx(1.5 + 1.75 + 1.875)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_a_site_sends_its_update_scaled_to_the_plans_steps(momentum):
    local = LocalTraining(steps=7, momentum=momentum, learning_rate=0.05, weight_decay=0.0)
    start = np.linspace(-1, 1, 100)
    plain = train(SITES[0], FedAvg(), local, start, 0)
    sent = train(SITES[0], FedNova(steps=20), local, start, 0)
    factor = gradients_in(20, momentum, nesterov=True) / gradients_in(7, momentum, nesterov=True)
    factor = 20 / 7 if momentum == 0 else factor
    np.testing.assert_allclose(sent, start + factor * (plain - start), rtol=1e-9)


def test_as_many_steps_as_the_plan_says_are_fedavg():
    local, start = LocalTraining(steps=7), np.zeros(100)
    plain, sent = (
        train(SITES[0], found, local, start, 0) for found in (FedAvg(), FedNova(steps=7))
    )
    np.testing.assert_array_equal(sent, plain)


def test_what_is_not_trained_stays_exactly_as_it_is():
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 1))
    model[0].requires_grad_(False)
    before = model[0].weight.clone()
    nova = FedNova(steps=9)
    nova.begin_round(model, 0)
    nova.end_round(model, 2, 0.1)
    assert torch.equal(model[0].weight, before)


def test_unequal_steps_drift_less_than_under_fedavg():
    """100, 60, 20 and 20 steps a round; at most a small gain, and no cure."""
    local = LocalTraining(epochs=20, learning_rate=0.03, weight_decay=0.0)
    assert [local.steps_for(site.cases) for site in SITES] == [100, 60, 20, 20]
    plain, nova = (
        excess_by_round(SITES, algorithm, local, 10)[-1]
        for algorithm in (FedAvg, lambda: FedNova(steps=50))
    )
    assert 0.5 * plain < nova < 0.95 * plain


def test_an_optimiser_whose_gradients_cannot_be_counted_is_refused():
    model = nn.Linear(1, 1)
    with pytest.raises(SettingError, match="counts the gradients of SGD"):
        FedNova(steps=2).after_step(model, torch.optim.Adam(model.parameters()))
