"""A synthetic head: shares of fluid, grey and white matter in each voxel, and the tumour's place.

Shapes are ellipsoids bent by smooth noise; lengths in mm. X runs right to left, Y front to back, Z
bottom to top, from the grid's middle.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from src.data.smooth_noise import Grid, smooth_noise


def _coordinates(grid: Grid) -> np.ndarray:
    """float32 (3, X, Y, Z): mm from the grid's middle."""
    axes = [(np.arange(n, dtype=np.float32) - (n - 1) / 2) * grid.spacing_mm for n in grid.shape]
    return np.stack(np.meshgrid(*axes, indexing="ij")).astype(np.float32)


def soft(distance: np.ndarray, width: float) -> np.ndarray:
    """1 well inside (distance > 0), 0 well outside, with a smooth edge of about `width`."""
    return expit(distance / np.float32(width))


def _ellipsoid(x: np.ndarray, centre: tuple, half_axes: tuple, power: float = 2.0) -> np.ndarray:
    """Each point's radius relative to the ellipsoid, which is 1 on its surface."""
    total = np.zeros(x.shape[1:], np.float32)
    for axis, middle, half in zip(x, centre, half_axes, strict=True):
        total += np.abs((axis - middle) / half) ** np.float32(power)
    return total ** np.float32(1 / power)


@dataclass(frozen=True)
class Head:
    """The tissue shares in [0, 1] of each voxel, which sum to 1 within `brain`.

    centre: of the tumour, in mm.
    distance: each voxel's from it, before the tumour pushed tissue aside.
    """

    csf: np.ndarray
    grey: np.ndarray
    white: np.ndarray
    brain: np.ndarray
    ventricle_radius: np.ndarray
    fissure_mm: np.ndarray
    distance: np.ndarray

    @classmethod
    def drawn(cls, rng: np.random.Generator, grid: Grid, *, age: float, core_mm: float) -> "Head":
        """A brain with sulci, nuclei, ventricles, cerebellum and brain stem.

        It is atrophied according to the age, and pushed aside by a tumour core of this radius.
        """

        def noise(wavelength_mm: float) -> np.ndarray:
            return smooth_noise(rng, grid, wavelength_mm)

        x = _coordinates(grid)
        side = 1 if rng.random() < 0.5 else -1
        centre = (side * rng.uniform(20, 42), rng.uniform(-42, 40), rng.uniform(-8, 36))
        away = np.stack([axis - c for axis, c in zip(x, centre, strict=True)]).astype(np.float32)
        distance = np.sqrt((away**2).sum(0)) + np.float32(1e-3)
        core = np.float32(core_mm)
        mass = 0.35 * core * np.exp(-((np.maximum(distance - core, 0) / (1.2 * core)) ** 2))
        mass *= np.minimum(distance / core, 1)
        x -= mass * away / distance
        x += 2.2 * np.stack([noise(55.0) for _ in range(3)])

        atrophy = max(0.0, (age - 45) / 40)
        size = 1 + 0.04 * rng.standard_normal(3)
        depth = _cerebrum_depth(x, size)
        hind = _hindbrain_depth(x, size)
        brain = np.maximum(depth, hind) > 0
        fissure = np.abs(x[0]) + 1.5 * np.abs(noise(30.0))
        fissure += 100 * (hind > 0)  # none below the tentorium
        folds = np.abs(noise(13.0) + 0.6 * noise(8.0))  # 0 along sulci
        reach = 15 + 3 * noise(30.0)
        deep = np.maximum(depth, 0)

        csf = soft(0.8 + 0.5 * atrophy - np.maximum(depth, hind), 0.7)
        csf = np.maximum(csf, soft(0.10 + 0.07 * atrophy - folds, 0.05) * soft(reach - deep, 2.0))
        csf = np.maximum(csf, soft(1.6 - fissure, 0.6) * soft(22 - deep, 3.0))
        grey = soft(4.6 - deep, 0.9)
        grey = np.maximum(grey, soft(0.62 - folds, 0.09) * soft(reach + 3 - deep, 2.0))
        grey = np.maximum(grey, soft(4.5 - fissure, 0.8) * soft(24 - deep, 3.0))
        folia = np.abs(noise(7.0))
        grey = np.where(hind > depth, soft(0.75 - folia, 0.15) * soft(14 - hind, 2.0), grey)
        grey = np.maximum(grey, _nuclei(x))
        ventricles = _ventricles(x, 1 + 0.35 * atrophy + 0.12 * rng.standard_normal())
        csf = np.maximum(csf, soft(1 - ventricles, 0.07))
        grey = grey * (1 - csf)
        white = np.maximum(1 - csf - grey, 0)
        return cls(csf, grey, white, brain, ventricles, fissure, distance)


def _cerebrum_depth(x: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Depth below the cerebrum's surface in mm, negative outside; flat below, narrower in front."""
    sx, sy, sz = size
    narrow = 1 + 0.10 * np.clip(-x[1] / 80, 0, 1)
    radius = _ellipsoid(
        np.stack([x[0] * narrow, x[1], x[2]]), (0, 0, 10), (66 * sx, 84 * sy, 60 * sz), 2.3
    )
    floor = x[2] + 40 - 14 * np.clip(x[1] / 60, -0.6, 1)  # rises towards the back
    return np.minimum((1 - radius) * 68, floor)


def _hindbrain_depth(x: np.ndarray, size: np.ndarray) -> np.ndarray:
    """The same for cerebellum and brain stem."""
    sx, sy, sz = size
    halves = [
        (1 - _ellipsoid(x, (s * 21 * sx, 40 * sy, -38 * sz), (28, 27, 20))) * 22 for s in (-1, 1)
    ]
    stem = (1 - np.sqrt((x[0] / 13) ** 2 + ((x[1] - 14) / 13) ** 2)) * 13
    stem = np.minimum(stem, np.minimum(-5 - x[2], x[2] + 72))
    return np.maximum(np.maximum(*halves), stem)


def _nuclei(x: np.ndarray) -> np.ndarray:
    """Caudate, putamen and thalamus of both sides."""
    share = np.zeros(x.shape[1:], np.float32)
    mirrored = np.stack([np.abs(x[0]), x[1], x[2]])
    for centre, half in (
        ((13, -16, 12), (6, 15, 9)),
        ((26, -4, 6), (6, 15, 10)),
        ((12, 14, 10), (9, 13, 9)),
    ):
        share = np.maximum(share, soft(1 - _ellipsoid(mirrored, centre, half), 0.08))
    return share


def _ventricles(x: np.ndarray, size: float) -> np.ndarray:
    """Radius of the lateral ventricles (1 on the wall), a bent ellipsoid a side, and the third."""
    bent = np.stack([np.abs(x[0]) - 0.004 * x[1] ** 2, x[1], x[2] + 0.004 * x[1] ** 2])
    lateral = _ellipsoid(bent, (9, 2, 22), (5.5 * size, 33 * size, 8 * size))
    third = _ellipsoid(x, (0, 6, 6), (2.5 * size, 13, 10))
    return np.minimum(lateral, third)
