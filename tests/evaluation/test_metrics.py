"""Dice and HD95: by hand, against MONAI, and the BraTS convention for empty regions."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.metrics import compute_dice, compute_hausdorff_distance

from src.errors import InputError
from src.evaluation.metrics import case_scores, dice, hd95, site_scores

EMPTY = np.zeros((4, 4, 4), bool)


def cube(start: int, stop: int, size: int = 16) -> np.ndarray:
    region = np.zeros((size,) * 3, bool)
    region[start:stop, start:stop, start:stop] = True
    return region


def blob(seed: int) -> np.ndarray:
    """A random region of a few overlapping boxes."""
    rng = np.random.default_rng(seed)
    region = np.zeros((14, 12, 10), bool)
    for _ in range(3):
        low = rng.integers(0, 7, 3)
        region[tuple(slice(a, a + n) for a, n in zip(low, rng.integers(1, 6, 3), strict=True))] = (
            True
        )
    return region


def test_dice_by_hand():
    # 8 and 27 voxels, 8 in common
    assert dice(cube(0, 2), cube(0, 3)) == pytest.approx(16 / 35)


def test_hd95_of_two_voxels_is_their_distance_in_mm():
    a, b = EMPTY.copy(), EMPTY.copy()
    a[0, 0, 0] = b[3, 0, 2] = True
    assert hd95(a, b, (1.0, 5.0, 2.0)) == pytest.approx(5.0)  # sqrt(3^2 + 4^2)


def test_the_axes_keep_their_own_spacing():
    a, b = EMPTY.copy(), EMPTY.copy()
    a[0, 0, 0] = b[0, 0, 2] = True
    assert hd95(a, b, (1, 1, 3)) == 6
    assert hd95(a, b, (3, 1, 1)) == 2


def test_the_larger_direction_counts():
    small, large = cube(6, 8), cube(1, 15)
    assert hd95(small, large, (1, 1, 1)) == hd95(large, small, (1, 1, 1)) > 5


@settings(max_examples=25)
@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_both_equal_monais(first, second):
    a, b, spacing = blob(first), blob(second), (1.0, 2.0, 0.5)
    tensors = [torch.from_numpy(x[None, None].astype(np.float32)) for x in (a, b)]
    assert dice(a, b) == pytest.approx(compute_dice(*tensors).item(), abs=1e-6)
    monai = compute_hausdorff_distance(
        *tensors, include_background=True, percentile=95, spacing=spacing
    )
    assert hd95(a, b, spacing) == pytest.approx(monai.item(), abs=1e-4)


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_scores_do_not_depend_on_which_is_called_the_reference(first, second):
    a, b = blob(first), blob(second)
    assert dice(a, b) == dice(b, a)
    assert hd95(a, b, (1, 2, 3)) == hd95(b, a, (1, 2, 3))


def test_both_empty_is_perfect():
    assert (dice(EMPTY, EMPTY), hd95(EMPTY, EMPTY, (1, 1, 1))) == (1.0, 0.0)


@pytest.mark.parametrize("found_something", [True, False])
def test_one_empty_is_worst(found_something):
    pair = (~EMPTY, EMPTY) if found_something else (EMPTY, ~EMPTY)
    assert (dice(*pair), hd95(*pair, (1, 1, 1))) == (0.0, 373.13)


def test_other_shapes_are_refused():
    with pytest.raises(InputError, match="prediction must have shape"):
        dice(EMPTY, np.zeros((4, 4, 5), bool))


def test_a_sites_scores_are_means_over_cases_and_count_empty_references():
    whole, none = np.stack([~EMPTY] * 3), np.stack([~EMPTY, ~EMPTY, EMPTY])
    scores = site_scores(
        [case_scores(whole, whole, (1, 1, 1)), case_scores(whole, none, (1, 1, 1))]
    )
    assert scores["cases"] == 2
    assert scores["dice"] == {"WT": 1, "TC": 1, "ET": 0.5, "mean": pytest.approx(5 / 6)}
    assert scores["hd95_mm"]["ET"] == pytest.approx(373.13 / 2)
    assert scores["empty_reference"] == {"WT": 0, "TC": 0, "ET": 1}


def test_a_site_without_cases_is_refused():
    with pytest.raises(InputError, match="no case to score"):
        site_scores([])
