"""What liars send: by hand, by definition, and as ByzFL 0.0.11 has it."""

import numpy as np
import pytest

from scripts.attack import updates
from src.aggregation.weighted_mean import WeightedMean

HONEST = [np.float32([1, 0]), np.float32([3, 0]), np.float32([2, 6])]
MODELS = np.array(
    [[(7 * i * i + 3 * j * j + 5 * i * j) % 11 - 5 for j in range(4)] for i in range(9)]
) / np.float64(4)
OTHERS = list(MODELS[2:])


def test_a_flipped_update_points_the_other_way():
    assert updates.sign_flip(HONEST[0]).tolist() == [-1, 0]


def test_a_scaled_update_is_so_many_times_as_long():
    assert updates.scaled(HONEST[1], -10).tolist() == [-30, 0]
    assert updates.scaled(HONEST[1], -10).dtype == np.float32


def test_noise_is_as_long_as_it_is_said_and_tells_nothing_of_the_update():
    own = np.ones(10_000, np.float32)
    sent = updates.gaussian(own, 10, np.random.default_rng(0))
    assert np.linalg.norm(sent) == pytest.approx(1000, rel=0.05)
    assert abs(own @ sent) / 100 / np.linalg.norm(sent) < 0.05


def test_the_inner_product_with_the_honest_mean_turns_negative():
    sent = updates.inner_product(HONEST, 0.5)
    np.testing.assert_allclose(sent, [-1, -1])


@pytest.mark.parametrize(("factor", "turned"), [(2.9, False), (3.1, True)])
def test_one_of_four_turns_the_mean_where_its_factor_passes_three(factor, turned):
    lie = updates.inner_product(HONEST, factor)
    mean = WeightedMean().combine([*HONEST, lie], [1, 1, 1, 1])
    assert (mean @ np.mean(HONEST, axis=0) < 0) == turned


def test_a_little_is_enough_by_hand():
    """Means 2 and 2; deviations 1 and the root of 12."""
    sent = updates.a_little_is_enough(HONEST, 1.5)
    np.testing.assert_allclose(sent, [3.5, 2 + 1.5 * 12**0.5], rtol=1e-6)


def test_they_are_byzfls():
    """ALittleIsEnough(1.5), InnerProductManipulation(2)."""
    alie = [1.6711092977266628, 1.232667915869505, 1.1874604922732526, 0.5803176351303954]
    ipm = [-0.7857142857142857, -0.6428571428571429, -0.35714285714285715, 0.8571428571428571]
    np.testing.assert_allclose(updates.a_little_is_enough(OTHERS, 1.5), alie, rtol=1e-12)
    np.testing.assert_allclose(updates.inner_product(OTHERS, 2), ipm, rtol=1e-12)
