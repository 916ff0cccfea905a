"""Voxel identity: marks by which an image is recognised, however its file is named and stored.

An image is turned to a canonical orientation and cut to the box of its brain, which is all that
differs from the border's most common value. The box is cut into 8 x 8 x 8 cells. The means of the
brain within them, normalised by their own mean and deviation, are rounded to coarse levels, and
eight interleaved subsets of the cells are hashed, each with borders of its own between the levels.
Two images that share one mark are the same image. So these change nothing:

    another name, another compression, another type of number
    axes stored in another order or direction, with the affine that says so
    all values scaled and shifted, also by a negative factor; or only the brain's, as by z-scoring
        within it; and the rounding of such a map to about 8 bits or more: it moves a cell across a
        border in some subsets, but not in all
    cropping or padding of the background

What escapes: cropping into the brain, resampling to another grid, registration to another space,
another skull stripping, a map of the values that is not linear, strong noise or smoothing. `prints`
compares whole cases at one place, without a hash: there clipping and noise of some hundredths of
the deviation do not escape either, and seldom a root of the values.

Ledgers from before format 2 hold marks of format 1: means over the whole grid, in 16 x 16 x 16
cells. Both are given, so both are recognised.
"""

import hashlib
import json
from pathlib import Path

import numpy as np
from nibabel.orientations import apply_orientation, io_orientation

from src.data.case import SEQUENCES, CaseFiles
from src.data.intensities import border_value
from src.data.nifti import read_volume
from src.data.preprocess import entry_name
from src.errors import Damaged
from src.files import read_own_json, write_atomically

FORMAT = 2  # of the newest marks; one more, and images are known by the older formats, too
CELLS = 8  # along each axis of the brain's box
SUBSETS = 8
LEVEL = 1 / 4  # of the deviation of the cells' means
CELLS_1, LEVEL_1 = 16, 1 / 8  # of format 1
NO_BRAIN = 0x7FFF  # the level of a cell that the brain fills less than half


def voxel_marks(volume: np.ndarray, affine: np.ndarray) -> list[str]:
    """The marks of a volume (X, Y, Z) on the grid of `affine` (4, 4); none of a flat one.

    SUBSETS of format 1, then SUBSETS of format 2.
    """
    turned = apply_orientation(volume, io_orientation(affine))
    return [*_marks(1, _scores_1(turned), LEVEL_1), *_marks(2, _scores(turned), LEVEL)]


def prints(volume: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """float32 (CELLS**3,) of length 1; two images' product is how alike they are, -1 to 1.

    All 0 of a flat image.
    """
    cells = np.zeros((CELLS, CELLS, CELLS), np.float32)
    scores = _scores(apply_orientation(volume, io_orientation(affine)))
    if scores is not None:
        a, b, c = scores.shape
        cells[:a, :b, :c] = np.nan_to_num(scores)
        cells /= np.linalg.norm(cells)
    return cells.ravel()


def known_by(files: CaseFiles, cache: Path) -> list[str]:
    """The strings by which a case's images are recognised; computed once, then kept in the cache.

    SHA-256 of the T1 file, as ledgers before voxel identity have it, and the marks of each
    sequence. They are secret: they may be stored only under a keyed hash, or beside the images.
    VolumeError: a sequence cannot be read.
    """
    entry = cache / f"{entry_name(files)}.voxels-{FORMAT}.json"
    if kept := _kept(entry):
        return kept
    t1 = hashlib.sha256(files.sequences["t1"].read_bytes()).hexdigest()
    found = [f"t1 {t1}"]
    for sequence in SEQUENCES:
        marks = voxel_marks(*read_volume(files.sequences[sequence]))
        found += [f"voxels {sequence} {mark}" for mark in marks]
    cache.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_atomically(entry, json.dumps(found), mode=0o600)
    return found


def _kept(entry: Path) -> list[str] | None:
    """What the cache holds; None: nothing yet, or it is damaged."""
    try:
        found = read_own_json(entry)
    except (OSError, Damaged):
        return None
    whole = isinstance(found, list) and len(found) > 1 and all(type(m) is str for m in found)
    return found if whole else None


def _marks(number: int, scores: np.ndarray | None, level: float) -> list[str]:
    """The marks of one format, from the cells' normalised means (NaN: none there)."""
    if scores is None:
        return []
    i, j, k = np.indices(scores.shape)
    subset_of = (i + 3 * j + 5 * k) % SUBSETS
    marks = []
    for subset in range(SUBSETS):
        levels = np.floor(scores[subset_of == subset] / level + subset / SUBSETS)
        content = np.nan_to_num(levels, nan=NO_BRAIN).astype("<i2").tobytes()
        marks.append(f"{number}.{subset} {hashlib.sha256(content).hexdigest()}")
    return marks


def _scores(volume: np.ndarray) -> np.ndarray | None:
    """Normalised means of the brain in the cells of its box, NaN where it fills less than half."""
    brain = volume != border_value(volume)[0]
    if not brain.any():
        return None
    sides = []
    for axis in range(3):
        others = tuple(a for a in range(3) if a != axis)
        inside = np.flatnonzero(brain.any(axis=others))
        sides.append(slice(int(inside[0]), int(inside[-1]) + 1))
    box = tuple(sides)
    brain = brain[box]
    filled = _cell_means(brain.astype(np.float64), CELLS)
    sums = _cell_means(np.where(brain, volume[box], 0), CELLS)
    return _normalised(np.where(filled >= 0.5, sums / np.where(filled, filled, 1), np.nan))


def _scores_1(volume: np.ndarray) -> np.ndarray | None:
    """Normalised means of all cells of the grid."""
    return _normalised(_cell_means(volume, CELLS_1))


def _normalised(means: np.ndarray) -> np.ndarray | None:
    """Mean 0, deviation 1, skewed to the right; None if all are equal. NaN stay."""
    known = means[np.isfinite(means)]
    deviation = known.std() if len(known) else 0.0
    if not deviation > 0:
        return None
    scores = (means - known.mean()) / deviation
    return scores * (1 if np.nansum(np.power(scores, 3)) >= 0 else -1)


def _cell_means(volume: np.ndarray, most: int) -> np.ndarray:
    """Means of up to `most` cells along each axis, float64 (a, b, c)."""
    sums, counts = volume, np.ones((1, 1, 1))
    for axis, length in enumerate(volume.shape):
        cells = min(most, length)
        bounds = np.arange(cells + 1) * length // cells
        sums = np.add.reduceat(sums, bounds[:-1], axis=axis, dtype=np.float64)
        shape = [1, 1, 1]
        shape[axis] = cells
        counts = counts * np.diff(bounds).reshape(shape)
    return sums / counts
