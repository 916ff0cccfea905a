"""The private step's contenders do the same work; each is measured in a process of its own."""

import pytest
import torch

from scripts.benchmark import private_step_study as private_step


@pytest.mark.parametrize("name", private_step.CONTENDERS)
def test_every_contender_moves_the_network(name, monkeypatch):
    optimisers = []
    plain = torch.optim.SGD

    def spied(parameters, *arguments):
        optimisers.append(plain(parameters, *arguments))
        return optimisers[-1]

    monkeypatch.setattr(torch.optim, "SGD", spied)
    work = private_step._work(name, 16)
    tensors = optimisers[0].param_groups[0]["params"]
    before = [tensor.detach().clone() for tensor in tensors]
    work()
    assert any(not torch.equal(a, b) for a, b in zip(before, tensors, strict=True))


def test_a_turn_gives_seconds_and_memory():
    figures = private_step._turn(private_step.OURS_PART, 16)
    assert figures["cpu_s"] > 0
    assert figures["mb"] > 0
