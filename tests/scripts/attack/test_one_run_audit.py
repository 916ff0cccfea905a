"""The one-run audit: right where the answer is known, silent on what is private, loud on faults."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scripts.attack.one_run_audit import audit, lower_bound, p_value


def test_by_hand_five_of_five_right():
    """q^5 = 0.05, so e^eps / (1 + e^eps) = 0.5493."""
    q = 0.05 ** (1 / 5)
    assert lower_bound(100, 5, 5, delta=0.0) == pytest.approx(math.log(q / (1 - q)), abs=1e-5)


@pytest.mark.parametrize(
    ("canaries", "guesses", "right", "delta", "published"),
    [(1000, 100, 75, 1e-4, 0.673), (100_000, 1510, 1439, 1e-5, 2.675)],
    ids=["appendix D", "section 7"],
)
def test_the_papers_own_figures(canaries, guesses, right, delta, published):
    assert lower_bound(canaries, guesses, right, delta) == pytest.approx(published, abs=1e-3)


def test_as_many_right_as_wrong_bounds_nothing():
    assert lower_bound(1000, 100, 50, delta=0.0) == 0.0
    assert lower_bound(1000, 0, 0, delta=1e-5) == 0.0


@given(st.integers(1, 200), st.floats(0, 6), st.data())
@settings(max_examples=60, deadline=None)
def test_more_right_guesses_never_bound_less_and_delta_never_more(guesses, epsilon, data):
    right = data.draw(st.integers(0, guesses - 1))
    fewer, more = (lower_bound(500, guesses, v, 1e-5) for v in (right, right + 1))
    assert fewer <= more
    assert lower_bound(500, guesses, right, 1e-3) <= fewer
    assert 0 <= p_value(500, guesses, right, epsilon, 1e-5) <= 1


def test_guesses_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="right <= guesses <= canaries, got 6, 5, 10"):
        lower_bound(10, 5, 6, 0.0)


def randomised_response(epsilon: float, rng: np.random.Generator):
    """The mechanism that meets epsilon exactly; all canaries alike."""

    def answer(included: np.ndarray) -> np.ndarray:
        honest = rng.random(included.size) < 1 / (1 + math.exp(-epsilon))
        return np.where(honest, included, ~included) + 0.5 * rng.random(included.size)

    return answer


def test_the_bound_of_randomised_response_is_close_below_its_epsilon():
    rng = np.random.default_rng(0)
    found = audit(randomised_response(1.5, rng), canaries=20_000, delta=0.0, rng=rng, repeats=10)
    assert (found.canaries, found.guesses) == (200_000, 4000)
    assert 1.35 < found.lower_bound < 1.5


def test_the_bound_is_above_the_truth_in_at_most_one_audit_of_twenty():
    rng = np.random.default_rng(1)
    above = sum(
        audit(randomised_response(1.0, rng), canaries=2000, delta=0.0, rng=rng).lower_bound > 1.0
        for _ in range(400)
    )
    assert above <= 34  # 20 expected at most; 34 has a chance of 0.2 %


def test_a_mechanism_that_answers_nothing_is_bounded_by_nothing():
    rng = np.random.default_rng(2)
    found = audit(lambda included: rng.random(included.size), canaries=5000, delta=0.0, rng=rng)
    assert found.lower_bound < 0.4


def test_a_mechanism_that_answers_everything_is_found_out():
    rng = np.random.default_rng(3)
    found = audit(lambda included: included.astype(float), canaries=5000, delta=1e-5, rng=rng)
    assert found.right == found.guesses == 100
    assert found.lower_bound > 3
