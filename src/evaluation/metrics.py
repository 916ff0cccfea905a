"""Dice and HD95 per region, with the empty-region convention of the BraTS challenge."""

import numpy as np
from scipy.ndimage import binary_erosion, distance_transform_edt

from src.data.regions import REGIONS

WORST_MM = 373.13


def dice(prediction, reference):
    a, b = np.asarray(prediction, bool), np.asarray(reference, bool)
    total = a.sum() + b.sum()
    return 1.0 if total == 0 else float(2 * (a & b).sum() / total)


def hd95(a, b, sp):
    a, b = a.astype(bool), b.astype(bool)
    if not a.any() and not b.any():
        return 0.0
    if not a.any() or not b.any():
        return WORST_MM
    ea, eb = a ^ binary_erosion(a), b ^ binary_erosion(b)
    return float(
        max(
            np.percentile(distance_transform_edt(~eb, sampling=sp)[ea], 95),
            np.percentile(distance_transform_edt(~ea, sampling=sp)[eb], 95),
        )
    )


def case_scores(prediction, reference, spacing_mm):
    d = {r: dice(prediction[i], reference[i]) for i, r in enumerate(REGIONS)}
    h = {r: hd95(prediction[i], reference[i], spacing_mm) for i, r in enumerate(REGIONS)}
    e = {r: not reference[i].any() for i, r in enumerate(REGIONS)}
    return {
        "dice": d | {"mean": float(np.mean(list(d.values())))},
        "hd95_mm": h | {"mean": float(np.mean(list(h.values())))},
        "empty_reference": e,
    }


def site_scores(scores):
    def mean(k):
        return {n: float(np.mean([s[k][n] for s in scores])) for n in scores[0][k]}

    return {
        "cases": len(scores),
        "dice": mean("dice"),
        "hd95_mm": mean("hd95_mm"),
        "empty_reference": {r: sum(s["empty_reference"][r] for s in scores) for r in REGIONS},
    }
