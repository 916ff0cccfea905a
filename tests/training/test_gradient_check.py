"""Gradients in bfloat16 are those of float32, or float32 is taken; wrong ones are noticed."""

import logging
from itertools import chain
from pathlib import Path

import pytest
import torch
import yaml
from torch import nn

from src.errors import SettingError
from src.model.unet import GliomaUNet
from src.training.compute import Compute, has_bf16
from src.training.gradient_check import wrong_gradient
from tests.training.faulty import Faulty, Garbage

ROOT = Path(__file__).resolve().parents[2]
CPU = torch.device("cpu")
TINY = (16, 16, 16)  # what the tests that train take
# What plans and tests take. Levels of the lite network have a first axis of 2 where X is 16 or 32.
SIZES = [TINY, (32, 32, 32), (32, 48, 32), (48, 32, 32), (48, 64, 48), (64, 64, 64)]
native = pytest.mark.skipif(not has_bf16(CPU), reason="this processor multiplies no bfloat16")


class Between(nn.Module):
    """Right layers; a wrong gradient between them under autocast."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Conv3d(4, 4, 3, padding=1), nn.Conv3d(4, 3, 1)

    def forward(self, x):
        x = self.one(x)
        return self.two(Garbage.apply(x, 2.0) if torch.is_autocast_enabled("cpu") else x)


def network(first: nn.Module) -> nn.Sequential:
    return nn.Sequential(first, nn.GroupNorm(2, 4), nn.LeakyReLU(inplace=True), nn.Conv3d(4, 3, 1))


def sizes_in(document: object) -> list[tuple[int, ...]]:
    """All `patches.settings.size` in a plan."""
    if not isinstance(document, dict):
        return []
    own = document.get("patches", {}).get("settings", {}).get("size")
    below = chain.from_iterable(sizes_in(value) for value in document.values())
    return [*([tuple(own)] if own else []), *below]


def test_every_patch_size_of_a_plan_is_compared():
    plans = (ROOT / "plan").rglob("*.yaml")
    found = {size for plan in plans for size in sizes_in(yaml.safe_load(plan.read_text()))}
    assert found <= {*SIZES, (128, 128, 128)}  # of plan/full.yaml, which is for a GPU
    assert (48, 64, 48) in found


@native
@pytest.mark.parametrize("size", SIZES)
def test_bf16_gradients_are_those_of_float32_on_every_patch(size):
    torch.manual_seed(0)
    assert wrong_gradient(GliomaUNet("lite"), (4, *size), CPU) is None


def test_the_network_passes_where_bf16_is_computed_in_software():
    torch.manual_seed(0)
    assert wrong_gradient(GliomaUNet("lite"), (4, *TINY), CPU) is None


def test_a_right_small_network_passes():
    torch.manual_seed(0)
    assert wrong_gradient(network(nn.Conv3d(4, 4, 3, padding=1)), (4, *TINY), CPU) is None


@pytest.mark.parametrize("factor", [float("nan"), float("inf"), 1e37, 2.7, 0.16, 1.05, 0.0])
def test_a_layers_wrong_gradient_is_noticed_and_the_layer_named(factor):
    found = wrong_gradient(network(Faulty(factor)), (4, 4, 4, 4), CPU)
    assert "layer 0 is off by" in str(found)
    assert "patches of 4x4x4" in str(found)


def test_a_gradient_that_is_wrong_only_now_and_then_is_noticed():
    assert wrong_gradient(network(Faulty(2.7, period=3)), (4, 4, 4, 4), CPU) is not None


def test_a_wrong_gradient_between_right_layers_is_noticed():
    torch.manual_seed(0)
    found = wrong_gradient(Between(), (4, *TINY), CPU)
    assert "the network's bfloat16 gradient is off by" in str(found)


def test_the_comparison_leaves_network_and_random_numbers_alone():
    plain = network(nn.Conv3d(4, 4, 3, padding=1)).train()
    plain[0].weight.requires_grad_(False)
    before, draws = {k: v.clone() for k, v in plain.state_dict().items()}, torch.get_rng_state()
    wrong_gradient(plain, (4, 4, 4, 4), CPU)
    assert all(torch.equal(before[k], v) for k, v in plain.state_dict().items())
    assert plain.training
    assert not plain[0].weight.requires_grad
    assert all(p.grad is None for p in plain.parameters())
    assert not any(m._forward_hooks for m in plain.modules())
    assert torch.equal(draws, torch.get_rng_state())


def test_bf16_that_is_right_is_kept():
    compute = Compute("cpu", "bf16")
    compute.prove(network(nn.Conv3d(4, 4, 3, padding=1)), (4, 4, 4, 4))
    assert compute.precision == "bf16"


def test_wrong_bf16_that_nobody_demanded_gives_way_and_the_log_says_so(monkeypatch, caplog):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    compute = Compute("cpu", "auto")
    assert compute.precision == "bf16"
    with caplog.at_level(logging.WARNING):
        compute.prove(network(Faulty(2.7)), (4, 4, 4, 4))
    assert compute.precision == "fp32"
    assert "layer 0 is off by 170% on patches of 4x4x4: training in float32" in caplog.text
    with compute.autocast():
        assert nn.Linear(4, 4)(torch.zeros(2, 4)).dtype == torch.float32


def test_wrong_bf16_that_the_plan_demands_is_refused_with_the_remedy():
    with pytest.raises(SettingError, match=r"layer 0 is off by 170%.*Set task_runner.precision"):
        Compute("cpu", "bf16").prove(network(Faulty(2.7)), (4, 4, 4, 4))


def test_under_float32_no_network_is_needed():
    Compute("cpu", "fp32").prove(None, ())
