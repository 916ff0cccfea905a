"""The algorithm that plan/README.md writes down as a user's own: it runs as it stands there."""

from pathlib import Path

import numpy as np
import torch

from scripts.benchmark.toy import excess_by_round, train, unlike_sites
from src.training.fedavg import FedAvg
from src.training.local import LocalTraining

SECTION = (Path(__file__).resolve().parents[2] / "plan" / "README.md").read_text(encoding="utf-8")
EXAMPLE = SECTION.partition("## A new part")[2].partition("```python\n")[2].partition("```")[0]
SITES = unlike_sites()


def own(skip: int = 0) -> FedAvg:
    """The README's class."""
    names: dict = {"__name__": "mean_of_steps"}
    exec(compile(EXAMPLE, "plan/README.md", "exec"), names)
    return names["MeanOfSteps"](skip)


def test_the_example_is_complete_in_thirty_lines():
    lines = EXAMPLE.strip().splitlines()
    assert 20 < len(lines) <= 30


def test_what_it_sends_is_the_mean_of_the_models_on_its_way():
    settings = {"learning_rate": 0.05, "weight_decay": 0.0, "momentum": 0.0}
    start = np.zeros(100)
    models = [
        train(SITES[0], FedAvg(), LocalTraining(steps=steps, **settings), start, 0)
        for steps in (1, 2, 3, 4)
    ]
    local = LocalTraining(steps=4, **settings)
    np.testing.assert_allclose(train(SITES[0], own(), local, start, 0), np.mean(models, 0))
    skipped = train(SITES[0], own(skip=2), local, start, 0)
    np.testing.assert_allclose(skipped, np.mean(models[2:], 0))


def test_a_federation_learns_with_it():
    local = LocalTraining(steps=5, learning_rate=0.05, weight_decay=0.0)
    excess = excess_by_round(SITES, own, local, 12)
    assert excess[-1] < excess[0] / 3
    assert torch.tensor(excess).isfinite().all()
