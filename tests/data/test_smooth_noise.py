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


def test_the_field_varies_alike_everywhere_on_and_between_lattice_points():
    deviation = np.sqrt((_basis(200, 0.37, 9.0) ** 2).sum(axis=1))
    assert np.ptp(deviation) < 0.05 * deviation.mean()


def test_the_field_is_alike_along_axes_and_diagonals():
    grid = Grid((64, 64, 64), 1.0)
    fields = [field(24.0, seed, grid) for seed in range(6)]
    along = np.mean([np.corrcoef(f[:-10].ravel(), f[10:].ravel())[0, 1] for f in fields])
    pairs = [(f[:-7, :-7].ravel(), f[7:, 7:].ravel()) for f in fields]  # 7 * sqrt(2) = 9.9
    across = np.mean([np.corrcoef(*pair)[0, 1] for pair in pairs])
    assert abs(along - across) < 0.05


def test_the_surface_of_a_level_set_has_no_kinks():
    # linear interpolation would leave second differences that jump at lattice planes
    second = np.abs(np.diff(field(24.0, grid=Grid((96,) * 3, 1.0)), 2, axis=0))
    assert second.max() < 12 * np.median(second)
