"""Voxel identity: marks by which an image is recognised, however its file is named and stored.

An image is turned to a canonical orientation and cut into a grid of 16 x 16 x 16 cells. The cells'
means, normalised by the mean and deviation of all of them, are rounded to coarse levels, and eight
interleaved subsets of the cells are hashed, each with borders of its own between the levels. Two
images that share one mark are the same image. So these change nothing:

    another name, another compression, another type of number
    axes stored in another order or direction, with the affine that says so
    all values scaled and shifted, also by a negative factor; and the rounding of such a map to
        about 12 bits or more: it moves a cell across a border in some subsets, but not in all

What escapes: cropping or padding, resampling to another grid, registration to another space,
another skull stripping, a map of the values that is not linear, rounding to 8 bits, strong noise.
"""

import hashlib
import json
from pathlib import Path

import numpy as np
from nibabel.orientations import apply_orientation, io_orientation

from src.data.case import SEQUENCES, CaseFiles
from src.data.nifti import read_volume
from src.data.preprocess import entry_name
from src.errors import Damaged
from src.files import read_own_json, write_atomically

FORMAT = 1  # another number, and images are no longer recognised as those of before
CELLS = 16  # along each axis
SUBSETS = 8
LEVEL = 1 / 8  # of the deviation of the cells' means


def voxel_marks(volume: np.ndarray, affine: np.ndarray) -> list[str]:
    """The marks of a volume (X, Y, Z) on the grid of `affine` (4, 4); none of a flat one."""
    cells = _cell_means(apply_orientation(volume, io_orientation(affine)))  # (a, b, c)
    deviation = cells.std()
    if not deviation > 0:
        return []
    scores = (cells - cells.mean()) / deviation
    scores *= 1 if np.power(scores, 3).sum() >= 0 else -1
    i, j, k = np.indices(scores.shape)
    subset_of = (i + 3 * j + 5 * k) % SUBSETS
    marks = []
    for subset in range(SUBSETS):
        levels = np.floor(scores[subset_of == subset] / LEVEL + subset / SUBSETS)
        content = levels.astype("<i2").tobytes()
        marks.append(f"{FORMAT}.{subset} {hashlib.sha256(content).hexdigest()}")
    return marks


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


def _cell_means(volume: np.ndarray) -> np.ndarray:
    """Means of up to CELLS cells along each axis, float64 (a, b, c)."""
    sums, counts = volume, np.ones((1, 1, 1))
    for axis, length in enumerate(volume.shape):
        cells = min(CELLS, length)
        bounds = np.arange(cells + 1) * length // cells
        sums = np.add.reduceat(sums, bounds[:-1], axis=axis, dtype=np.float64)
        shape = [1, 1, 1]
        shape[axis] = cells
        counts = counts * np.diff(bounds).reshape(shape)
    return sums / counts
