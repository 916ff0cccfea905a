"""Noise: normal, of variance 1, and never the same twice."""

import numpy as np
import pytest
from scipy import stats

from src.differential_privacy import gaussian

COUNT = 200_000


def test_it_is_normal():
    drawn = gaussian.standard_normal(COUNT)
    assert stats.kstest(drawn, "norm").pvalue > 1e-4
    assert abs(drawn.mean()) < 5 / np.sqrt(COUNT)


def variance_fits(drawn: np.ndarray) -> bool:
    """Whether the sum of squares is a chi-square variable's, at the 1e-6 level."""
    low, high = stats.chi2.ppf([5e-7, 1 - 5e-7], len(drawn))
    return bool(low < np.square(drawn).sum() < high)


@pytest.mark.parametrize(("factor", "fits"), [(1, True), (2 / 3, False), (3 / 2, False)])
def test_its_variance_is_one_and_two_thirds_or_three_halves_of_it_are_noticed(factor, fits):
    assert variance_fits(factor * gaussian.standard_normal(2000)) is fits


def test_two_draws_have_nothing_in_common_whatever_seeds_are_set():
    draws = []
    for _ in range(2):
        np.random.seed(0)
        draws.append(gaussian.standard_normal(COUNT))
    correlation = np.corrcoef(*draws)[0, 1]
    assert abs(correlation) < 5 / np.sqrt(COUNT)


@pytest.mark.parametrize("count", [0, 1, gaussian.BLOCK, gaussian.BLOCK + 1])
def test_any_number_of_values_can_be_drawn(count):
    assert gaussian.standard_normal(count).shape == (count,)


def test_the_uniform_numbers_lie_in_the_unit_interval_and_never_at_zero():
    drawn = gaussian.uniform(COUNT)
    assert 0 < drawn.min() < drawn.max() <= 1
    assert stats.kstest(drawn, "uniform").pvalue > 1e-4
