"""Smooth random fields: white noise on a coarse lattice, through cubic B-splines.

B-splines are twice continuously differentiable, so that a level set of such a field is a smooth
surface without a trace of the lattice (Unser 1999, doi:10.1109/79.799930).
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

LATTICE_PER_WAVELENGTH = 1.8


@dataclass(frozen=True)
class Grid:
    """Voxels: how many along X, Y, Z, and their edge."""

    shape: tuple[int, int, int]
    spacing_mm: float


def smooth_noise(rng: np.random.Generator, grid: Grid, wavelength_mm: float) -> np.ndarray:
    """float32 (X, Y, Z), mean about 0, deviation 1, details of about this wavelength."""
    bases = [_basis(length, grid.spacing_mm, wavelength_mm) for length in grid.shape]
    field = rng.standard_normal([basis.shape[1] for basis in bases], dtype=np.float32)
    for basis in bases:  # each turn replaces the first axis and puts it last
        field = np.tensordot(field, basis, axes=(0, 1))
    return field / max(float(field.std()), 1e-6)


@lru_cache(maxsize=256)
def _basis(length: int, spacing_mm: float, wavelength_mm: float) -> np.ndarray:
    """Cubic B-spline weights (length, lattice points) of voxels on the lattice."""
    position = np.arange(length) * spacing_mm * LATTICE_PER_WAVELENGTH / wavelength_mm
    knots = np.arange(-1, int(position[-1]) + 3)
    distance = np.abs(position[:, None] - knots)
    inner = 2 / 3 - distance**2 + distance**3 / 2
    outer = np.maximum(2 - distance, 0) ** 3 / 6
    return np.where(distance < 1, inner, outer).astype(np.float32)
