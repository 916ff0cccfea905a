"""What a plan guarantees, read from the plan; how far a budget reaches."""

import pytest

from scripts.local.workspace import complete_plan
from src.differential_privacy.accountant import DpEvent, epsilon
from src.differential_privacy.guarantee import guarantees, reach
from src.plan.view import Plan
from tests.ceremonies import ROOT

DICE = (
    "task_runner.reported_metrics={template: src.differential_privacy.reported_metrics.NoisyDice, "
    "settings: {epsilon: 2, delta: 0.001, patients: 6, budget: 5}}"
)


def of(name: str, *changes: str):
    return guarantees(Plan(complete_plan(ROOT / "plan" / name, changes=changes)))


@pytest.mark.parametrize("name", ["plan.yaml", "plain.yaml", "full.yaml"])
def test_a_plan_without_noise_guarantees_nothing(name):
    assert of(name) == []


def test_the_private_plan_guarantees_what_it_says_of_each_patient():
    (found,) = of("dp.yaml", "task_runner.local.epsilon=4", "task_runner.local.delta=0.001")
    assert (found.what, found.of, found.unit) == ("training", "training", "patient")
    assert (found.epsilon, found.budget, found.delta) == (4, 4, 0.001)
    assert found.rounds == 10
    assert found.after(found.rounds) < found.after(found.rounds + 1) <= 4
    assert found.after(found.rounds + 2) > 4  # one round is spare, and no more


def test_a_budget_for_several_runs_is_the_budget():
    (found,) = of("dp.yaml", "task_runner.local.budget=20")
    assert (found.epsilon, found.budget) == (8, 20)


def test_noised_validation_is_a_promise_of_its_own_to_other_patients():
    training, scores = of("dp.yaml", DICE)
    assert training.of == "training"
    assert (scores.of, scores.unit, scores.rounds) == ("validation", "patient", 11)
    assert (scores.epsilon, scores.budget) == (2, 5)
    assert scores.after(scores.rounds) <= 2


def test_the_plan_per_site_guarantees_what_it_says_of_each_site():
    (found,) = of("dp_site.yaml")
    assert (found.what, found.of, found.unit) == ("a noised update", "training", "site")
    assert (found.epsilon, found.delta, found.rounds) == (8, 0.001, 10)
    assert found.after(found.rounds) < 8 < found.after(2 * found.rounds)
    assert set(found.trainable) == {"GroupNorm", "head"}


@pytest.mark.parametrize("most", [0, 1, 2, 5, 9])
def test_a_budget_reaches_as_far_as_trying_finds(most):
    a_round = DpEvent(noise_multiplier=3.0)

    def cost(reported_metrics):
        return epsilon(reported_metrics, 1e-3)

    for budget in (0.1, 1.0, 3.0, 4.0, 100.0):
        by_trying = max(n for n in range(most + 1) if cost([a_round] * n) <= budget)
        assert reach(cost, a_round, budget, most) == by_trying
