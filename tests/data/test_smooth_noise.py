"""Smooth noise: unit deviation, the wavelength that was asked for, and no trace of a lattice."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from src.data.smooth_noise import Grid, _basis, smooth_noise

GRID = Grid((48, 40, 36), 2.0)


def field(wavelength_mm: float, seed: int = 0, grid: Grid = GRID) -> np.ndarray:
    return smooth_noise(np.random.default_rng(seed), grid, wavelength_mm)


def correlation(values: np.ndarray, shift: int, axis: int) -> float:
    a = np.moveaxis(values, axis, 0)
    return float(np.corrcoef(a[:-shift].ravel(), a[shift:].ravel())[0, 1])


@settings(max_examples=10, deadline=None)
@given(st.floats(4, 80), st.integers(0, 100))
def test_any_wavelength_gives_unit_deviation_and_finite_numbers(wavelength_mm, seed):
    values = field(wavelength_mm, seed)
    assert values.shape == GRID.shape
    assert values.dtype == np.float32
    assert values.std() == pytest.approx(1, rel=1e-3)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_neighbours_agree_and_points_a_wavelength_apart_do_not(axis):
    values = field(16.0)
    assert correlation(values, 1, axis) > 0.85
    assert abs(correlation(values, 8, axis)) < 0.3


def test_the_wavelength_is_in_mm_not_in_voxels():
    coarse, fine = field(16.0, grid=Grid((24,) * 3, 4.0)), field(16.0, grid=Grid((48,) * 3, 2.0))
    assert correlation(coarse, 1, 0) == pytest.approx(correlation(fine, 2, 0), abs=0.1)


def test_the_splines_weights_sum_to_one_everywhere():
    np.testing.assert_allclose(_basis(50, 1.3, 9.0).sum(axis=1), 1, atol=1e-6)


def test_the_surface_of_a_level_set_has_no_kinks():
    # linear interpolation would leave second differences that jump at lattice planes
    second = np.abs(np.diff(field(24.0, grid=Grid((96,) * 3, 1.0)), 2, axis=0))
    assert second.max() < 12 * np.median(second)
