"""The discrete Gaussian: exactly its probabilities, and nobody's seed."""

import ast
import inspect
import random

import numpy as np
import pytest
import torch
from scipy.stats import chi2, norm

from src.differential_privacy import discrete_gaussian as sampler
from src.differential_privacy.discrete_gaussian import discrete_gaussian
from src.errors import SettingError
from tests.oracles import LEVEL, variance_fits


def shape_fits(values: np.ndarray, sigma: float) -> bool:
    """Pearson's chi-square test of integers against the discrete Gaussian, in 40 bins at most."""
    edges = np.unique(np.round(sigma * norm.ppf(np.linspace(0, 1, 41)[1:-1])))  # integers
    counts = np.bincount(np.searchsorted(edges, values), minlength=len(edges) + 1)
    support = np.arange(-int(12 * sigma) - 2, int(12 * sigma) + 3)
    pmf = np.exp(-(support.astype(float) ** 2) / (2 * sigma**2))
    bins = np.bincount(np.searchsorted(edges, support), pmf / pmf.sum(), len(edges) + 1)
    expected = bins * values.size
    return float(chi2.sf(((counts - expected) ** 2 / expected).sum(), len(edges))) > LEVEL


@pytest.mark.parametrize("sigma", [1, 2, 4, 37, 12_345, 100_000])
def test_shape_and_variance_are_right_and_two_thirds_or_three_halves_would_be_seen(sigma):
    values = discrete_gaussian(sigma, 40_000)
    assert values.dtype == np.int64
    assert shape_fits(values, sigma)
    assert variance_fits(values, sigma)  # at sigma 1 discreteness changes it by 1e-7
    for wrong in (2 / 3 * sigma, 3 / 2 * sigma):
        assert not shape_fits(values, wrong)
        assert not variance_fits(values, wrong)


@pytest.mark.parametrize("sigma", [1, 2])
def test_every_probability_is_exact_at_tiny_sigma(sigma):
    values = discrete_gaussian(sigma, 300_000)
    support = np.arange(-40, 41)
    pmf = np.exp(-(support**2) / (2 * sigma**2))
    pmf /= pmf.sum()
    counts = np.bincount(values + 40, minlength=81)
    seen = pmf * values.size > 20
    spread = np.sqrt(pmf * (1 - pmf) * values.size)
    assert (np.abs(counts - pmf * values.size)[seen] < 6 * spread[seen]).all()
    assert counts[~seen].sum() < 400
    # a rounded normal, which is what a float sampler gives, is told from it at sigma 1
    rounded = norm.cdf(support + 0.5, scale=sigma) - norm.cdf(support - 0.5, scale=sigma)
    if sigma == 1:
        assert (np.abs(counts - rounded * values.size)[seen] > 6 * spread[seen]).any()


def test_the_largest_sigma_stays_in_its_integers():
    values = discrete_gaussian(sampler.LARGEST, 40_000)
    assert variance_fits(values, sampler.LARGEST)
    assert len(np.unique(values)) > 39_000


def test_draws_differ_and_do_not_correlate():
    first, second = discrete_gaussian(50, 20_000), discrete_gaussian(50, 20_000)
    assert abs(np.corrcoef(first, second)[0, 1]) < 6 / 20_000**0.5
    assert abs(np.corrcoef(first[1:], first[:-1])[0, 1]) < 6 / 20_000**0.5


def test_nobodys_seed_repeats_it():
    drawn = []
    for _ in range(2):
        np.random.seed(1)
        random.seed(1)
        torch.manual_seed(1)
        drawn.append(discrete_gaussian(1000, 50))
    assert (drawn[0] != drawn[1]).any()
    tree = ast.parse(inspect.getsource(sampler))
    names = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert "urandom" in names
    assert not {"random", "default_rng", "exp", "log", "float64"} & names
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.Div)]


@pytest.mark.parametrize("count", [0, 1, 7])
def test_as_many_as_asked_for(count):
    assert discrete_gaussian(3, count).shape == (count,)


@pytest.mark.parametrize("sigma", [0, -1, 1.5, sampler.LARGEST + 1])
def test_a_sigma_that_is_no_whole_number_of_steps_is_refused(sigma):
    with pytest.raises(SettingError, match="sigma must be a whole number from 1 to"):
        discrete_gaussian(sigma, 1)


# -- the pieces ---------------------------------------------------------------------------------


def test_uniform_numbers_have_no_bias_where_a_plain_remainder_would():
    below = 3 << 61  # of 2^63 numbers the lowest third would come twice as often
    values = sampler._uniform(below, 40_000)
    share = np.mean(values < 1 << 61)
    assert abs(share - 1 / 3) < 6 * (2 / 9 / 40_000) ** 0.5
    assert abs(share - 1 / 2) > 6 * (1 / 4 / 40_000) ** 0.5


@pytest.mark.parametrize(("numerator", "denominator"), [(0, 5), (1, 3), (7, 7), (5, 2), (40, 9)])
def test_a_coin_of_probability_exp_of_minus_a_fraction(numerator, denominator):
    tossed = sampler._bernoulli_exp(np.full(40_000, numerator), denominator)
    expected = np.exp(-numerator / denominator)
    assert abs(tossed.mean() - expected) <= 6 * (expected * (1 - expected) / 40_000) ** 0.5


def test_zero_does_not_come_twice_in_the_discrete_laplace():
    values = sampler._discrete_laplace(2, 60_000)
    support = np.arange(-30, 31)
    pmf = np.exp(-np.abs(support) / 2)
    expected = pmf[30] / pmf.sum()
    assert abs(np.mean(values == 0) - expected) < 6 * (0.25 / len(values)) ** 0.5
