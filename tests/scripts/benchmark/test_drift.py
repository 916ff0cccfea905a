"""Drift on the toy: its optimum, and what the verb prints, draws and keeps."""

import json

import pytest
import torch
from click.testing import CliRunner

from scripts.benchmark import toy
from scripts.benchmark.drift import drift
from scripts.benchmark.drift_study import BY_CASES, EQUAL, QUESTIONS, local_training
from src.training.fedavg import FedAvg
from src.training.local import LocalTraining

SITES = toy.unlike_sites()


def test_the_optimum_is_where_gradient_descent_on_all_cases_ends():
    best = toy.optimum(SITES)
    layer, rate = toy.network(), 0.5
    for _ in range(3000):
        loss = toy.pooled_loss(SITES, layer)
        (gradient,) = torch.autograd.grad(loss, layer.weight)
        with torch.no_grad():
            layer.weight.sub_(gradient, alpha=rate)
    assert loss.item() == pytest.approx(best, abs=1e-6)


def test_one_step_a_round_has_no_drift():
    local = LocalTraining(steps=1, learning_rate=0.5, momentum=0.0, weight_decay=0.0)
    excess = toy.excess_by_round(SITES, FedAvg, local, 150)
    assert excess[-1] < 0.02
    assert excess == sorted(excess, reverse=True)


def test_many_steps_a_round_settle_beside_the_optimum():
    excess = toy.excess_by_round(SITES, FedAvg, local_training(EQUAL, 20), 20)
    assert excess[-1] > 0.08


@pytest.mark.parametrize("steps", [10, 20])
def test_both_questions_take_as_many_steps_of_all_sites_together(steps):
    by_cases = local_training(BY_CASES, steps)
    assert sum(by_cases.steps_for(site.cases) for site in SITES) == 4 * steps
    assert len({local_training(EQUAL, steps).steps_for(site.cases) for site in SITES}) == 1


def test_the_verb_prints_draws_and_keeps_every_method(tmp_path):
    figure, numbers = tmp_path / "drift.png", tmp_path / "drift.json"
    words = ["--rounds", "3", "--steps", "5", "--figure", str(figure), "--json", str(numbers)]
    ended = CliRunner().invoke(drift, words)
    assert ended.exit_code == 0, ended.output
    rows = json.loads(numbers.read_text(encoding="utf-8"))["rows"]
    assert [(row["question"], row["method"]) for row in rows] == [
        (question, name) for question, methods in QUESTIONS.items() for name in methods
    ]
    assert all(len(row["excess"]) == 4 for row in rows)
    assert all(name in ended.output for methods in QUESTIONS.values() for name in methods)
    assert figure.read_bytes().startswith(b"\x89PNG")
