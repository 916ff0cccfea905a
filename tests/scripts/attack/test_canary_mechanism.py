"""Canaries in DP-SGD as it trains: the right step keeps its claim, faulty ones are caught."""

from dataclasses import replace

import numpy as np
import pytest

from scripts.attack.canary_mechanism import LOUDNESS, train_on_canaries
from scripts.attack.one_run_audit import audit
from src.differential_privacy.accountant import epsilon
from src.differential_privacy.dp_sgd import PatientDPSGD

CANARIES = 3000
DELTA = 1e-5
STEP = PatientDPSGD(
    epsilon=1.0,
    delta=DELTA,
    sample_rate=1.0,
    steps=1,
    clip_norm=0.5,
    patients=CANARIES // 2,
    crops=2,
    learning_rate=0.1,
    spare_rounds=0,
)
SAMPLED = replace(STEP, sample_rate=0.2, steps=5)
NORM = LOUDNESS * STEP.clip_norm


def guaranteed(part: PatientDPSGD) -> float:
    return part.a_round(1).noise_multiplier


def trained(part: PatientDPSGD, included: np.ndarray, noise: float, **how) -> np.ndarray:
    return train_on_canaries(part, included, noise_multiplier=noise, norm=NORM, **how)


def bound(part: PatientDPSGD, noise: float, **how) -> float:
    rng = np.random.default_rng(0)
    found = audit(
        lambda included: trained(part, included, noise, **how),
        canaries=CANARIES,
        delta=DELTA,
        rng=rng,
    )
    return found.lower_bound


def test_a_canary_moves_its_own_coordinate_by_the_clip_norm():
    included = np.array([True, False, True, False])
    np.testing.assert_allclose(trained(STEP, included, 0.0), [0.5, 0, 0.5, 0], rtol=1e-4)


def test_a_canary_is_as_often_in_as_it_is_sampled():
    moved = trained(SAMPLED, np.ones(2000, bool), 0.0) / SAMPLED.clip_norm
    np.testing.assert_allclose(moved, np.round(moved), atol=1e-3)  # a whole number of times
    assert moved.mean() == pytest.approx(0.2 * 5, abs=0.1)
    assert moved.max() <= 5


def test_the_noise_is_seen_as_it_was_added():
    noise = trained(STEP, np.zeros(20_000, bool), 4.0)
    assert noise.std() == pytest.approx(4.0 * STEP.clip_norm, rel=0.05)


def test_the_claim_is_about_one():
    assert epsilon([STEP.a_round(1)], DELTA) == pytest.approx(1.0, abs=0.01)
    assert guaranteed(STEP) == pytest.approx(4.05, abs=0.05)


@pytest.mark.parametrize("part", [STEP, SAMPLED], ids=["one step", "sampled, five steps"])
def test_the_real_step_stays_under_its_claim(part):
    assert bound(part, guaranteed(part)) <= part.epsilon


@pytest.mark.parametrize(
    "fault",
    [
        lambda: bound(STEP, 0.0),
        lambda: bound(STEP, guaranteed(STEP) / STEP.patients),
        lambda: bound(STEP, guaranteed(STEP), records=4),
        lambda: bound(replace(STEP, clip_norm=NORM), guaranteed(STEP) / LOUDNESS),
        lambda: bound(replace(SAMPLED, sample_rate=1.0), guaranteed(SAMPLED)),
    ],
    ids=["no noise", "noise over batch", "crops as patients", "not clipped", "all sampled"],
)
def test_a_faulty_step_exceeds_its_claim(fault):
    assert fault() > 1.0


def test_half_the_noise_exceeds_the_claim_where_there_are_canaries_enough():
    """The same mechanism on sums alone, which 200,000 canaries can afford."""
    rng = np.random.default_rng(0)
    half = guaranteed(STEP) / 2

    def released(included: np.ndarray) -> np.ndarray:
        return included + half * rng.standard_normal(included.size)

    found = audit(released, canaries=100_000, delta=DELTA, rng=rng, repeats=2)
    assert found.lower_bound > 1.0
