"""FedAvgM, FedAdam, FedYogi at the aggregator: against torch, and against the paper by hand."""

from pathlib import Path

import numpy as np
import pytest
import torch

from src.aggregation.fedadam import FedAdam, FedYogi
from src.aggregation.fedavgm import FedAvgM
from src.errors import PlanError, SettingError
from src.plan import plan as plans
from src.plan import rules

PLANS = Path(__file__).resolve().parents[2] / "plan"
RULES = {
    "fedavgm.FedAvgM": {"momentum": 0.9, "learning_rate": 0.1},
    "fedadam.FedAdam": {},
    "fedadam.FedYogi": {},
}


def followed(rule, updates, start: np.ndarray) -> list[np.ndarray]:
    """The models when the sites' mean update is this in each round."""
    models, state = [start], {}
    for update in updates:
        after, state = rule.step(models[-1], models[-1] + update, state)
        models.append(after)
    return models


def mean_updates(rounds: int = 12, size: int = 7) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.1, (rounds, size))


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_fedavgm_is_torchs_sgd_with_momentum_on_the_mean_update(momentum):
    start, updates = np.zeros(7), mean_updates()
    weight = torch.nn.Parameter(torch.zeros(7, dtype=torch.float64))
    optimiser = torch.optim.SGD([weight], 0.3, momentum=momentum)
    for update in updates:
        weight.grad = -torch.from_numpy(update)
        optimiser.step()
    found = followed(FedAvgM(momentum=momentum, learning_rate=0.3), updates, start)[-1]
    np.testing.assert_allclose(found, weight.detach().numpy(), atol=1e-6)


def test_fedavgm_without_momentum_at_learning_rate_1_is_the_mean():
    found = followed(FedAvgM(momentum=0.0, learning_rate=1.0), [np.array([0.5])], np.array([2.0]))
    assert found[-1] == 2.5


def test_two_rounds_of_fedadam_by_hand():
    """tau = .1, so v begins at .01; D = .2, then -.1; b1 = .5, b2 = .75, eta = 1."""
    rule = FedAdam(learning_rate=1.0, beta1=0.5, beta2=0.75, tau=0.1)
    found = followed(rule, [np.array([0.2]), np.array([-0.1])], np.array([0.0]))
    m, v = 0.1, 0.75 * 0.01 + 0.25 * 0.04
    first = m / (v**0.5 + 0.1)
    m, v = 0.5 * m - 0.05, 0.75 * v + 0.25 * 0.01
    second = first + m / (v**0.5 + 0.1)
    assert [float(model[0]) for model in found] == pytest.approx([0, first, second], rel=1e-6)


def test_two_rounds_of_fedyogi_by_hand():
    """v < D^2 first, so v grows by (1 - b2) D^2; then v > D^2, and it falls by as much."""
    rule = FedYogi(learning_rate=1.0, beta1=0.5, beta2=0.75, tau=0.1)
    found = followed(rule, [np.array([0.2]), np.array([-0.1])], np.array([0.0]))
    m, v = 0.1, 0.01 + 0.25 * 0.04
    first = m / (v**0.5 + 0.1)
    m, v = 0.5 * m - 0.05, v - 0.25 * 0.01
    second = first + m / (v**0.5 + 0.1)
    assert [float(model[0]) for model in found] == pytest.approx([0, first, second], rel=1e-6)


@pytest.mark.parametrize("name", RULES)
def test_they_run_in_the_clear_and_are_refused_where_updates_are_encrypted(name):
    part = {"template": f"src.aggregation.{name}", "settings": RULES[name]}
    plain, sealed = (plans.read(PLANS / kind) for kind in ("plain.yaml", "plan.yaml"))
    for plan in (plain, sealed):
        plan["tasks"]["train"]["aggregation_type"]["settings"]["rule"] = part
    rules.check(plain)
    with pytest.raises(PlanError, match="cannot look into encrypted updates, only add them"):
        rules.check(sealed)


@pytest.mark.parametrize("name", RULES)
def test_scaffold_is_refused_beside_them(name):
    """Their next model is not the mean, from which its control variate would follow."""
    plan = plans.read(PLANS / "plain.yaml")
    part = {"template": f"src.aggregation.{name}", "settings": RULES[name]}
    plan["tasks"]["train"]["aggregation_type"]["settings"]["rule"] = part
    plan["task_runner"]["settings"]["algorithm"] = {
        "template": "src.training.scaffold.Scaffold",
        "settings": {},
    }
    with pytest.raises(PlanError, match="takes the next model for the weighted mean"):
        rules.check(plan)


@pytest.mark.parametrize("settings", [{"tau": 0.0}, {"beta2": 1.0}, {"learning_rate": -1.0}])
def test_settings_out_of_their_range_are_refused(settings):
    with pytest.raises(SettingError, match=next(iter(settings))):
        FedAdam(**settings)
