"""Checks of drawn noise: they accept the right one, and reject what it must not be."""

import numpy as np
import pytest

from scripts.attack.noise_checks import are_independent, correlation, has_size

ONE, OTHER = np.random.default_rng(0).normal(0, 3, (2, 4000))


@pytest.mark.parametrize(("factor", "right"), [(1, True), (0.9, False), (1.1, False), (0, False)])
def test_noise_of_another_size_is_rejected(factor, right):
    assert has_size(factor * ONE, 3.0) is right


def test_right_noise_is_accepted_again_and_again():
    draws = np.random.default_rng(1).normal(0, 3, (300, 1000))
    assert all(has_size(draw, 3.0) for draw in draws)
    assert all(are_independent(*draws[i : i + 2]) for i in range(299))


def test_the_same_noise_is_found_even_beneath_another():
    assert are_independent(ONE, OTHER)
    assert not are_independent(ONE, 2 * ONE)
    assert not are_independent(ONE, -ONE)
    assert not are_independent(ONE, OTHER + 0.2 * ONE)


def test_by_hand():
    assert correlation(np.array([3.0, 4.0]), np.array([4.0, 3.0])) == pytest.approx(24 / 25)
    assert correlation(np.zeros(2), np.array([4.0, 3.0])) == 0.0
