"""Smooth random fields: white noise on a coarse lattice, smoothed by Gaussians.

A product of Gaussians along the axes is the same in every direction, so a level set of such a field
is a smooth surface without a trace of the lattice's axes. (Linear or B-spline interpolation leaves
blocky ones.)
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

LATTICE_PER_WAVELENGTH = 1.9
SIGMA = 0.65  # of the Gaussians, in lattice steps: the least that leaves no ripple
REACH = 3  # lattice steps beyond which a Gaussian is 0


@dataclass(frozen=True)
class Grid:
    """A grid of voxels.

    shape: how many along X, Y, Z.
    spacing_mm: their edge.
    """

    shape: tuple[int, int, int]
    spacing_mm: float


def smooth_noise(rng: np.random.Generator, grid: Grid, wavelength_mm: float) -> np.ndarray:
    """float32 (X, Y, Z) of mean about 0 and deviation 1, with details of about this wavelength."""
    bases = [_basis(length, grid.spacing_mm, wavelength_mm) for length in grid.shape]
    field = rng.standard_normal([basis.shape[1] for basis in bases], dtype=np.float32)
    for basis in bases:  # each turn replaces the first axis and puts it last
        field = np.tensordot(field, basis, axes=(0, 1))
    return field / max(float(field.std()), 1e-6)


@lru_cache(maxsize=256)
def _basis(length: int, spacing_mm: float, wavelength_mm: float) -> np.ndarray:
    """Weights (length, lattice points) of the lattice's values in each voxel."""
    position = np.arange(length) * spacing_mm * LATTICE_PER_WAVELENGTH / wavelength_mm
    points = np.arange(-REACH, int(position[-1]) + REACH + 2)
    distance = np.abs(position[:, None] - points)
    weights = np.exp(-0.5 * (distance / SIGMA) ** 2)
    weights[distance > REACH] = 0  # denormal numbers would cost ten times the time
    return weights.astype(np.float32)
