"""The weighted mean, by hand and against numpy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.aggregation.weighted_mean import WeightedMean
from src.errors import RunFailed


def test_by_hand():
    models = [np.array([1.0, 0.0], np.float32), np.array([4.0, 3.0], np.float32)]
    mean = WeightedMean().combine(models, [1, 2])
    assert mean.tolist() == [3.0, 2.0]
    assert mean.dtype == np.float32


@given(
    st.lists(st.tuples(st.integers(1, 500), st.integers(0, 2**32)), min_size=1, max_size=6),
)
def test_equals_numpy_for_any_case_numbers(sites):
    models = [np.random.default_rng(seed).normal(size=50).astype(np.float32) for _, seed in sites]
    weights = [cases for cases, _ in sites]
    expected = np.average(np.stack(models).astype(np.float64), axis=0, weights=weights)
    np.testing.assert_allclose(WeightedMean().combine(models, weights), expected, atol=1e-6)


def test_many_small_steps_are_not_lost_in_float32():
    models = [np.full(3, 1 + 2**-23 * k, np.float32) for k in range(1000)]
    exact = np.mean(np.stack(models).astype(np.float64), axis=0)
    np.testing.assert_allclose(WeightedMean().combine(models, [1] * 1000), exact, rtol=6e-8)


def test_no_weight_at_all_is_refused():
    with pytest.raises(RunFailed, match="more than 0"):
        WeightedMean().combine([np.zeros(2, np.float32)], [0])
