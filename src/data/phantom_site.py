"""A synthetic site: its scanner and its population, which is what makes sites differ.

Scanner effects: contrast (gamma), gain, bias field, point spread, slice thickness, Rician noise
(Gudbjartsson & Patz 1995, doi:10.1002/mrm.1910340618), dose of contrast agent. Population: share of
high-grade gliomas and size of their cores.
"""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d

from src.data.smooth_noise import Grid, smooth_noise

FOUR = (1.0, 1.0, 1.0, 1.0)
BIAS_WAVELENGTH_MM = 90.0


@dataclass(frozen=True)
class PhantomSite:
    """The scanner and the population of a site.

    gain, gamma: for each sequence (T1, T1ce, T2, FLAIR).
    bias: peak-to-peak share of the signal.
    noise: Rician sigma, where white matter is about 0.8.
    slice_mm: thickness of the acquired slices.
    contrast_dose: of the agent; 1 is usual.
    high_grade: share of HGG among the patients.
    core_mm: median radius of the tumour's core.
    core_spread: sigma of the radius' logarithm.
    """

    name: str
    gain: tuple[float, float, float, float] = FOUR
    gamma: tuple[float, float, float, float] = FOUR
    bias: float = 0.15
    noise: float = 0.03
    blur_mm: float = 0.6
    slice_mm: float = 1.0
    contrast_dose: float = 1.0
    high_grade: float = 0.8
    core_mm: float = 14.0
    core_spread: float = 0.3


SITES = (
    PhantomSite("a", high_grade=0.85, core_mm=15.5),
    PhantomSite(
        "b",
        gain=(1.6, 1.4, 0.7, 1.2),
        gamma=(1.1, 1.1, 0.9, 1.0),
        bias=0.35,
        noise=0.05,
        blur_mm=1.0,
        slice_mm=3.0,
        high_grade=0.75,
        core_mm=12.5,
    ),
    PhantomSite(
        "c",
        gain=(0.6, 0.7, 1.5, 0.8),
        gamma=(0.85, 0.9, 1.1, 1.15),
        bias=0.25,
        noise=0.06,
        blur_mm=1.4,
        slice_mm=5.0,
        contrast_dose=0.8,
        high_grade=0.65,
        core_mm=13.5,
        core_spread=0.4,
    ),
    PhantomSite(
        "d",
        gain=(1.1, 1.1, 1.1, 0.6),
        gamma=(1.0, 1.15, 1.0, 0.8),
        bias=0.5,
        noise=0.04,
        blur_mm=0.8,
        slice_mm=1.5,
        contrast_dose=1.2,
        high_grade=0.9,
        core_mm=18.0,
        core_spread=0.25,
    ),
    PhantomSite(
        "e",
        gain=(0.9, 1.2, 0.9, 1.6),
        gamma=(1.2, 0.85, 1.15, 1.0),
        bias=0.2,
        noise=0.07,
        blur_mm=1.8,
        slice_mm=6.0,
        contrast_dose=0.7,
        high_grade=0.45,
        core_mm=11.0,
    ),
)


def site_for(index: int) -> PhantomSite:
    """The index-th synthetic site: the five above, then others drawn from the same ranges."""
    if index < len(SITES):
        return SITES[index]
    rng = np.random.default_rng([20_000, index])

    def four(low: float, high: float) -> tuple[float, float, float, float]:
        a, b, c, d = rng.uniform(low, high, 4)
        return float(a), float(b), float(c), float(d)

    return PhantomSite(
        name=f"h{index}",
        gain=four(0.6, 1.6),
        gamma=four(0.85, 1.2),
        bias=rng.uniform(0.1, 0.5),
        noise=rng.uniform(0.03, 0.07),
        blur_mm=rng.uniform(0.6, 1.8),
        slice_mm=rng.uniform(1.0, 6.0),
        contrast_dose=rng.uniform(0.7, 1.2),
        high_grade=rng.uniform(0.4, 0.9),
        core_mm=rng.uniform(11.0, 18.0),
        core_spread=rng.uniform(0.25, 0.4),
    )


def acquire(
    signal: np.ndarray, grid: Grid, site: PhantomSite, rng: np.random.Generator
) -> np.ndarray:
    """The images that the site's scanner makes of a true signal float32 (4, X, Y, Z)."""
    images = signal
    for axis in (1, 2):
        images = gaussian_filter1d(images, site.blur_mm / grid.spacing_mm, axis=axis)
    images = images @ _slices(grid, site.slice_mm).T  # along Z
    for image, gamma, gain in zip(images, site.gamma, site.gain, strict=True):
        field = smooth_noise(rng, grid, BIAS_WAVELENGTH_MM)
        field *= 0.5 * site.bias / np.abs(field).max()
        np.power(np.maximum(image, 0), gamma, out=image)
        image *= 1 + field
        noise = site.noise * rng.standard_normal((2, *image.shape), dtype=np.float32)
        np.hypot(image + noise[0], noise[1], out=image)
        image *= gain * (1 + 0.1 * rng.standard_normal())
    return images


def _slices(grid: Grid, slice_mm: float) -> np.ndarray:
    """(Z, Z): averages over slices of this thickness, then interpolates back to the grid."""
    count = grid.shape[2]
    if slice_mm <= grid.spacing_mm:
        return np.eye(count, dtype=np.float32)
    z = np.arange(count) * grid.spacing_mm
    centres = np.arange((slice_mm - grid.spacing_mm) / 2, z[-1] + slice_mm / 2, slice_mm)
    reach = slice_mm / 2 - np.abs(z - centres[:, None])
    inside = np.clip(reach / grid.spacing_mm + 0.5, 0, 1)
    measured = inside / inside.sum(1, keepdims=True)  # (slices, Z)
    between = np.clip(1 - np.abs(z[:, None] - centres) / slice_mm, 0, 1)  # (Z, slices)
    return (between / between.sum(1, keepdims=True) @ measured).astype(np.float32)
