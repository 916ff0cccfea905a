"""Gradient inversion: a plain gradient shows its patient, noise in its place shows nothing."""

import numpy as np
import pytest
import torch
from torch import nn

from scripts.attack.gradient_inversion import (
    Attack,
    Guess,
    invert,
    likeness,
    sum_of_squares,
    total_variation,
)
from src.errors import SettingError
from src.model.losses import DiceBCE

SIDE = 8
LOSS = DiceBCE()


def patient() -> tuple[np.ndarray, np.ndarray]:
    """Smooth images, and regions one within the other."""
    grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, SIDE)] * 3, indexing="ij"))
    waves = [np.sin(3 * grid[i % 3] + i) + grid[(i + 1) % 3] for i in range(4)]
    distance = np.linalg.norm(grid - 0.2, axis=0)
    regions = np.stack([distance < radius for radius in (0.9, 0.6, 0.4)])
    return np.stack(waves).astype(np.float32), regions


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv3d(4, 24, 3, padding=1), nn.SiLU(), nn.Conv3d(24, 3, 3, padding=1))


def gradient(scale: float = 1.0) -> list[torch.Tensor]:
    images, regions = patient()
    model = network()
    value = LOSS(model(torch.from_numpy(images)[None]), torch.from_numpy(regions)[None].float())
    return [scale * g for g in torch.autograd.grad(value, list(model.parameters()))]


def attacked(target, iterations: int = 120) -> Guess:
    attack = Attack(iterations=iterations)
    rng = np.random.default_rng(0)
    return invert(network(), LOSS, target, (SIDE,) * 3, attack=attack, rng=rng)


def test_a_plain_gradient_shows_images_and_label():
    found = attacked(gradient())
    alike = likeness(found, *patient())
    assert alike["correlation"]["mean"] > 0.5
    assert alike["dice"]["WT"] > 0.5
    assert found.distance < 0.1


def test_noise_in_place_of_a_gradient_shows_nothing():
    torch.manual_seed(1)
    noise = [torch.randn_like(g) for g in gradient()]
    alike = likeness(attacked(noise), *patient())
    assert abs(alike["correlation"]["mean"]) < 0.2
    assert alike["dice"]["WT"] < 0.4


def test_only_the_direction_counts_and_the_start_is_the_generators():
    one, other = attacked(gradient(), 5), attacked(gradient(1000.0), 5)
    np.testing.assert_allclose(one.images, other.images, atol=1e-3)
    assert np.isfinite(attacked(gradient(0.0), 2).images).all()  # an update of nothing


def test_every_iteration_is_told():
    told: list[int] = []
    invert(
        network(),
        LOSS,
        gradient(),
        (SIDE,) * 3,
        attack=Attack(iterations=3),
        rng=np.random.default_rng(0),
        on_iteration=told.append,
    )
    assert told == [1, 2, 3]


# -- how alike ------------------------------------------------------------------------------------


def test_the_truth_is_like_itself():
    images, regions = patient()
    alike = likeness(Guess(images, regions, 0.0), images, regions)
    assert alike["correlation"] == pytest.approx(dict.fromkeys(alike["correlation"], 1.0))
    assert alike["dice"] == {"WT": 1, "TC": 1, "ET": 1}
    assert alike["psnr_db"] > 100


def test_likeness_by_hand():
    images, regions = patient()
    peak = images.max() - images.min()
    shifted = likeness(Guess(images + 0.1 * peak, regions, 0.0), images, regions)
    assert shifted["psnr_db"] == pytest.approx(20, abs=1e-3)  # an error of a tenth of the range
    assert shifted["correlation"]["mean"] == pytest.approx(1)
    flat = likeness(Guess(np.zeros_like(images), ~regions, 1.0), images, regions)
    assert flat["correlation"]["mean"] == 0.0
    assert flat["dice"] == {"WT": 0, "TC": 0, "ET": 0}


def test_roughness_and_length_by_hand():
    images = torch.zeros(1, 1, 2, 2, 2)
    images[..., 1, :, :] = 3.0
    assert float(total_variation(images)) == 3.0
    assert float(sum_of_squares([torch.tensor([3.0]), torch.tensor([[4.0]])])) == 25.0


@pytest.mark.parametrize(("setting", "value"), [("iterations", 0), ("step", 0.0)])
def test_settings_that_cannot_be_are_refused(setting, value):
    with pytest.raises(SettingError, match=setting):
        Attack(**{setting: value})
