"""A case's intensities: each sequence an image of its own, on a background of 0."""

from itertools import combinations

import numpy as np
from scipy.ndimage import binary_fill_holes
from scipy.stats import rankdata

# Of two sequences of one brain: .88 at most in real cases, .95 in synthetic ones.
SAME_CORRELATION = 0.99
ALIKE_CORRELATION = 0.97
SAMPLE = 50_000  # voxels of the brain, evenly picked, from which correlations are computed
FEW_VALUES = 8  # so few different values, all whole, make a segmentation
MOST_COMMON = 0.5  # share of the border's voxels from which on their value is the background's
SOME = 0.01  # share of the border's voxels; fewer zeros are chance


def border_value(volume: np.ndarray) -> tuple[float, float]:
    """The most common value of the voxels on the six faces, and the share of them that have it."""
    faces = [volume.take(end, axis) for axis in range(3) for end in (0, -1)]
    values, counts = np.unique(np.concatenate([face.ravel() for face in faces]), return_counts=True)
    most = int(np.argmax(counts))
    return float(values[most]), float(counts[most] / counts.sum())


def unusable(images: np.ndarray, channel: int) -> str | None:
    """What is wrong with one sequence of a case (4, X, Y, Z), and what to do; None: nothing."""
    volume = images[channel]
    low, high = float(volume.min()), float(volume.max())
    if not np.isfinite([low, high]).all():
        return _not_finite(images, channel)
    if low == high:
        return f"expected an image, found {low:g} in every voxel. Replace it."
    if low >= 0 and high <= 255 and (values := _few_whole(volume)):
        listed = ", ".join(map(str, values))
        return f"expected an image, found only the values {listed}: a label or a mask? Replace it."
    return _background(volume)


def same(images: np.ndarray) -> tuple[int, int, float] | None:
    """The two channels that are most alike, and their correlation; None if none are alike.

    The larger of Pearson's and Spearman's, without sign, over the brain: so a copy is found that
    was scaled, shifted, inverted, rounded, or passed through any map that keeps the order.
    """
    brain = np.flatnonzero((images != 0).any(axis=0))
    picked = brain[:: max(1, len(brain) // SAMPLE)]
    values = [volume.ravel()[picked].astype(np.float64) for volume in images]
    ranks = [rankdata(value) for value in values]
    found = [
        (max(_correlation(values[a], values[b]), _correlation(ranks[a], ranks[b])), a, b)
        for a, b in combinations(range(len(images)), 2)
    ]
    most, one, other = max(found)
    return (one, other, most) if most >= ALIKE_CORRELATION else None


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Pearson's, without sign; 0 if one of them is flat."""
    a, b = one - one.mean(), other - other.mean()
    scale = float(np.linalg.norm(a) * np.linalg.norm(b))
    return abs(float(a @ b)) / scale if scale else 0.0


def _few_whole(volume: np.ndarray) -> list[int]:
    """The values, if they are few and whole; else none. All lie between 0 and 255."""
    bytes_ = volume.astype(np.uint8)
    if not np.array_equal(bytes_, volume):
        return []
    found = np.flatnonzero(np.bincount(bytes_.ravel(order="K"))).tolist()
    return found if len(found) <= FEW_VALUES else []


def _not_finite(images: np.ndarray, channel: int) -> str:
    volume = images[channel]
    infinite, nan = int(np.isinf(volume).sum()), np.isnan(volume)
    count = infinite + int(nan.sum())
    text = f"expected finite numbers, found {count} NaN or infinite voxels"
    brain = binary_fill_holes((np.isfinite(images) & (images != 0)).any(axis=0))
    inside = int((nan & brain).sum())
    if not infinite and not inside:
        return f"{text}, all of them NaN outside the brain. Set NaN to 0 (fslmaths -nan)."
    if not infinite:
        return (
            f"{text}, {inside} of them NaN inside the brain, where no number stands for what was "
            "measured. Export it again, from before the step that made them."
        )
    return f"{text}. Export it again, in a type that holds its numbers."


def _background(volume: np.ndarray) -> str | None:
    value, share = border_value(volume)
    if value == 0:
        return None
    if share >= MOST_COMMON:
        return (
            f"expected a background of 0, found {value:.6g} in {share:.0%} of the border's voxels: "
            "normalised over the whole volume before? Give the image as it was before, or set the "
            "background to 0."
        )
    faces = np.concatenate([volume.take(end, axis).ravel() for axis in range(3) for end in (0, -1)])
    if np.count_nonzero(faces) <= (1 - SOME) * len(faces):
        return None
    return (
        f"expected a background of 0 around the brain, found {faces.min():.3g} to "
        f"{faces.max():.3g} and no 0 at the border: not skull-stripped, or resampled with ripples? "
        "Set to 0 what lies outside the brain (a brain mask)."
    )
