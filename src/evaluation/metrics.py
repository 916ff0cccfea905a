"""Dice and HD95 per region, with empty regions counted as the BraTS challenge counts them.

Both empty: Dice 1, HD95 0. One empty: Dice 0, HD95 373.13 mm, the diagonal of the 240 x 240 x 155
grid at 1 mm (Bakas et al. 2018, arXiv:1811.02629, and the challenge's evaluation code). A single
case can therefore move the mean of a site with few enhancing tumours by much, so the number of
empty references is always reported beside the means.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.ndimage import binary_erosion, distance_transform_edt, generate_binary_structure

from src import require
from src.data.regions import REGIONS
from src.errors import InputError

ONE_EMPTY_MM = 373.13
FACES = generate_binary_structure(3, 1)  # a voxel's six neighbours


def dice(prediction: np.ndarray, reference: np.ndarray) -> float:
    """2 |P and R| / (|P| + |R|) of two bool arrays; both empty: 1. InputError: shapes differ."""
    require.same_shape("prediction", prediction.shape, reference.shape)
    volume = np.count_nonzero(prediction) + np.count_nonzero(reference)
    if volume == 0:
        return 1.0
    return 2.0 * np.count_nonzero(prediction & reference) / volume


def hd95(prediction: np.ndarray, reference: np.ndarray, spacing_mm: Sequence[float]) -> float:
    """The larger of the two directed 95th percentiles of the surface distance, in mm.

    prediction, reference: bool (X, Y, Z). The surface is the region's voxels with a face to the
        outside.
    Both empty: 0; one empty: 373.13.
    InputError: shapes differ.
    """
    require.same_shape("prediction", prediction.shape, reference.shape)
    if not prediction.any() and not reference.any():
        return 0.0
    if not prediction.any() or not reference.any():
        return ONE_EMPTY_MM
    box = _common_box(prediction, reference)
    ours, theirs = _surface(prediction[box]), _surface(reference[box])
    return max(_directed(ours, theirs, spacing_mm), _directed(theirs, ours, spacing_mm))


def _common_box(a: np.ndarray, b: np.ndarray) -> tuple[slice, ...]:
    """The box around both regions; distances beyond it are of no use."""
    either = a | b
    sides = []
    for axis in range(either.ndim):
        others = tuple(k for k in range(either.ndim) if k != axis)
        inside = np.flatnonzero(either.any(axis=others))
        sides.append(slice(int(inside[0]), int(inside[-1]) + 1))
    return tuple(sides)


def _surface(region: np.ndarray) -> np.ndarray:
    """The region's voxels with a face to the outside."""
    return region & ~np.asarray(binary_erosion(region, FACES), bool)


def _directed(start: np.ndarray, end: np.ndarray, spacing_mm: Sequence[float]) -> float:
    """The 95th percentile of the distances from one surface to the other, in mm."""
    distance = np.asarray(distance_transform_edt(~end, sampling=spacing_mm))
    return float(np.percentile(distance[start], 95))


def case_scores(
    prediction: np.ndarray, reference: np.ndarray, spacing_mm: Sequence[float]
) -> dict[str, dict[str, Any]]:
    """The scores of one case by region: "dice", "hd95_mm" (each with a mean) and "empty_reference".

    prediction, reference: bool (3, X, Y, Z) in the order of REGIONS.
    """
    pairs = dict(zip(REGIONS, zip(prediction, reference, strict=True), strict=True))
    return {
        "dice": _with_mean({r: dice(p, t) for r, (p, t) in pairs.items()}),
        "hd95_mm": _with_mean({r: hd95(p, t, spacing_mm) for r, (p, t) in pairs.items()}),
        "empty_reference": {r: not t.any() for r, (_, t) in pairs.items()},
    }


def site_scores(cases: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Means over the cases, and how many had an empty reference. InputError: there is no case."""
    if not cases:
        raise InputError("There is no case to score.")
    summary: dict[str, Any] = {"cases": len(cases)}
    for metric in ("dice", "hd95_mm"):
        names = cases[0][metric]
        summary[metric] = {n: float(np.mean([case[metric][n] for case in cases])) for n in names}
    summary["empty_reference"] = {
        region: sum(bool(case["empty_reference"][region]) for case in cases) for region in REGIONS
    }
    return summary


def _with_mean(values: dict[str, float]) -> dict[str, float]:
    """The values with their mean under the key "mean"."""
    return values | {"mean": float(np.mean(list(values.values())))}
