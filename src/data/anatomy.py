"""What no tumour looks like: sequences or label values that seem to be exchanged.

Thresholds were read off 12 real cases (none of them post-operative) and hold on the synthetic ones;
so these are warnings, for somebody who looks at the case.
"""

import numpy as np
from scipy.ndimage import binary_dilation

from src.data.case import SEQUENCES, Case

FEW_VOXELS = 20  # of which nothing is said
# Mean z(T1ce) - z(T1) within enhancing tumour: 1.15 to 4.05 in real cases, .80 to 3.5 in synthetic
# ones; elsewhere .74 at most.
EXCHANGED_T1 = -0.5
ENHANCES = 1.0
# Share of healthy tissue in a label's outer surface. Core: 0 to .12; oedema: .53 to .89. In the
# synthetic low grade, where nothing enhances, core comes within .02 of oedema.
EXCHANGED_SHARE = 0.1


def warnings_of(case: Case, brain: np.ndarray) -> list[str]:
    """What looks exchanged in a case with a label; nothing is said of one without."""
    if case.regions is None:
        return []
    whole, core, enhancing = case.regions.astype(bool)
    other = case.label if case.label is not None else np.zeros_like(case.regions[0])
    rise = _enhancement(case, brain)
    found = []
    here = _mean(rise, enhancing & brain)
    if here is not None and here < EXCHANGED_T1:
        found.append(
            f"where the label says enhancing, t1ce is darker than t1 (by {-here:.2g} deviations of "
            "the brain): are the two files exchanged?"
        )
    outside = _mean(rise, (other > 0) & ~whole & brain)
    if outside is not None and outside >= ENHANCES and outside > (here or 0):
        found.append(
            f"what the label puts outside the tumour (a cavity, value {_listed(other, whole)}) "
            "enhances more than its enhancing tumour: does that value mean enhancing tumour here, "
            "as in BraTS 2015 to 2022?"
        )
    rim_core = _healthy_rim(core & ~enhancing, brain, other)
    rim_oedema = _healthy_rim(whole & ~core, brain, other)
    if None not in (rim_core, rim_oedema) and (rim_core or 0) > (rim_oedema or 0) + EXCHANGED_SHARE:
        found.append(
            f"the core borders on healthy tissue ({rim_core:.0%} of its surface) more than the "
            f"oedema does ({rim_oedema:.0%}): are their label values exchanged?"
        )
    return found


def _enhancement(case: Case, brain: np.ndarray) -> np.ndarray:
    """z(T1ce) - z(T1), each over the brain; 0 where a sequence is flat."""
    scores = []
    for sequence in ("t1ce", "t1"):
        volume = case.images[SEQUENCES.index(sequence)]
        values = volume[brain].astype(np.float64)
        scores.append((volume - values.mean()) / (values.std() or 1.0))
    return scores[0] - scores[1]


def _mean(values: np.ndarray, mask: np.ndarray) -> float | None:
    """None over too few voxels."""
    return float(values[mask].mean()) if np.count_nonzero(mask) >= FEW_VOXELS else None


def _healthy_rim(part: np.ndarray, brain: np.ndarray, label: np.ndarray) -> float | None:
    """The share of healthy tissue among the voxels around a part of the tumour."""
    if np.count_nonzero(part) < FEW_VOXELS:
        return None
    sides = []
    for axis in range(3):
        others = tuple(a for a in range(3) if a != axis)
        inside = np.flatnonzero(part.any(axis=others))
        sides.append(slice(max(int(inside[0]) - 1, 0), int(inside[-1]) + 2))
    box = tuple(sides)
    rim = binary_dilation(part[box]) & ~part[box]
    healthy = brain[box] & (label[box] == 0)
    return float(healthy[rim].mean()) if rim.any() else None


def _listed(label: np.ndarray, whole: np.ndarray) -> str:
    return ", ".join(f"{value}" for value in np.unique(label[(label > 0) & ~whole]))
