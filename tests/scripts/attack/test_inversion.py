"""`attack inversion`: what each holder of an update really has, and the verb."""

import json

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from scipy import stats
from torch import nn

from scripts.attack.inversion import inversion
from scripts.attack.inversion_attack import private_part
from scripts.attack.victim import LEARNING_RATE, SITES, Victim, mean_of_others, patch
from scripts.options import DEFAULT_PLAN
from src.model.losses import DiceBCE
from src.plan import plan as plans

SIDE = 8
PATCHES = [patch(hospital, 0, seed=0, side=SIDE) for hospital in range(len(SITES))]


def victim() -> Victim:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv3d(4, 24, 3, padding=1), nn.SiLU(), nn.Conv3d(24, 3, 3, padding=1)
    )
    return Victim(network, DiceBCE(), PATCHES)


def flat(tensors) -> np.ndarray:
    return torch.cat([tensor.flatten() for tensor in tensors]).double().numpy()


def cosine(one, other) -> float:
    one, other = flat(one), flat(other)
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


@pytest.fixture(scope="module")
def encrypted():
    return victim().encrypted()


def test_an_update_of_one_step_is_the_gradient():
    whole = [LEARNING_RATE * g for g in victim().gradient(PATCHES[0])]
    np.testing.assert_allclose(flat(victim().update(1)), flat(whole), atol=1e-7)
    assert 0.8 < cosine(victim().update(5), whole) < 0.99999


def test_the_aggregator_holds_uniform_numbers_that_have_nothing_to_do_with_the_update(encrypted):
    numbers = flat(encrypted.as_numbers())
    assert stats.kstest(numbers + 0.5, "uniform").pvalue > 1e-6
    assert abs(cosine(encrypted.as_numbers(), victim().update(1))) < 5 / np.sqrt(numbers.size)


def test_with_a_sites_key_the_masks_still_hide_the_update(encrypted):
    opened = encrypted.opened()
    assert abs(cosine(opened, victim().update(1))) < 5 / np.sqrt(flat(opened).size)


def test_without_masks_the_same_reading_would_show_it(monkeypatch):
    monkeypatch.setattr("src.secure_aggregation.share.mask", lambda own, keys, slots, *_: slots)
    assert cosine(victim().encrypted().opened(), victim().update(1)) > 0.99


def test_the_sum_is_the_mean_update_of_the_three_sites(encrypted):
    updates = [flat(victim().update(1, own)) for own in PATCHES]
    error = np.abs(flat(encrypted.summed()) - np.mean(updates, axis=0)).max()
    assert error < 0.02 * np.abs(updates).max()  # fixed point


def test_noise_hides_a_private_update_and_clipping_alone_does_not():
    own = victim().gradient(PATCHES[0])
    clipped = victim().private(0.0, clip_norm=0.1)
    assert cosine(clipped, own) == pytest.approx(1, abs=1e-5)
    assert np.linalg.norm(flat(clipped)) == pytest.approx(0.1, rel=1e-3)
    assert abs(cosine(victim().private(1.0, clip_norm=0.1), own)) < 0.1


def test_the_guess_is_of_other_patients():
    guess = mean_of_others(seed=0, side=SIDE)
    assert guess.images.shape == (4, SIDE, SIDE, SIDE)
    assert guess.regions.any()
    assert not np.allclose(guess.images, PATCHES[0][0])
    np.testing.assert_array_equal(PATCHES[0][0], patch(0, 0, seed=0, side=SIDE)[0])


def test_a_plan_without_privacy_borrows_the_private_plans_noise():
    part, rounds = private_part(plans.read(DEFAULT_PLAN))
    assert part.epsilon == 8.0
    assert rounds == 10


def test_the_verb_writes_numbers_and_the_picture(tmp_path):
    words = ["--iterations", "2", "--noise", "0.01", "--out", str(tmp_path)]
    result = CliRunner().invoke(inversion, words)
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "attack-inversion.json").read_text())
    titles = [row["title"] for row in found["rows"]]
    assert titles[:6] == ["guess", "1 step", "5 steps", "ciphertext", "masked", "sum of 3"]
    assert titles[6] == "noise 0.01"
    assert "epsilon 8 a run" in found["rows"][7]["held_by"]
    assert (tmp_path / "attack-inversion.png").stat().st_size > 10_000
    assert "hides one site's update, not the sum" in result.output
