"""The three nested tumour regions that BraTS scores, and their labels in each data set."""

import numpy as np

from src import require
from src.data.kinds import KINDS, Labels
from src.errors import CaseError

REGIONS = ("WT", "TC", "ET")


def to_regions(label: np.ndarray, kind: str) -> np.ndarray:
    """Regions uint8 (3, *label.shape) in the order WT, TC, ET, where ET lies within TC within WT.

    label: whole numbers 0-255 of any dtype, in the convention of the data set `kind`. WT is all
        tumour, TC core and enhancing, ET enhancing.
    CaseError: a value is not in the convention.
    """
    labels = _labels(kind)
    bytes_ = _as_bytes(label, kind)
    found = np.flatnonzero(np.bincount(bytes_.ravel(), minlength=256)).tolist()
    if not labels.values.issuperset(found):
        raise CaseError(unlawful(found, kind))
    member = np.zeros((len(REGIONS), 256), np.uint8)
    member[0, [labels.core, labels.oedema, labels.enhancing]] = 1
    member[1, [labels.core, labels.enhancing]] = 1
    member[2, [labels.enhancing]] = 1
    return np.stack([row[bytes_] for row in member])


def from_regions(regions: np.ndarray, kind: str) -> np.ndarray:
    """Label uint8 (...) of regions (3, ...), bool or 0/1, in the convention of `kind`.

    A voxel outside WT is background, even if TC or ET say otherwise; one outside TC is never
    enhancing. Values outside the tumour (the cavity of brats2024) cannot be recovered.
    """
    labels = _labels(kind)
    if regions.shape[0] != len(REGIONS):
        raise ValueError(f"regions must have shape (3, ...), got {regions.shape}.")
    whole, core, enhancing = (np.asarray(region, bool) for region in regions)
    label = np.where(whole, labels.oedema, 0).astype(np.uint8)
    label[whole & core] = labels.core
    label[whole & core & enhancing] = labels.enhancing
    return label


def unlawful(found: list[int], kind: str) -> str:
    """A sentence about label values that `kind` does not have, and which kinds they would fit."""
    expected = sorted(KINDS[kind].labels.values)
    others = [name for name, other in KINDS.items() if other.labels.values.issuperset(found)]
    hint = f" They would fit {' or '.join(others)}: is --kind right?" if others else ""
    return f"expected label values {_listed(expected)} ({kind}), found {_listed(found)}.{hint}"


def _labels(kind: str) -> Labels:
    require.one_of("kind", kind, KINDS)
    return KINDS[kind].labels


def _as_bytes(label: np.ndarray, kind: str) -> np.ndarray:
    """The label as uint8, exactly. CaseError: it holds other numbers."""
    if label.dtype == np.uint8:
        return label
    if label.size and not (label.min() >= 0 and label.max() <= 255):
        raise CaseError(unlawful(np.unique(label).tolist(), kind))
    bytes_ = label.astype(np.uint8)
    if not np.array_equal(bytes_, label):
        raise CaseError(unlawful(np.unique(label).tolist(), kind))
    return bytes_


def _listed(values: list[int]) -> str:
    shown = ", ".join(f"{value:g}" for value in values[:8])
    return f"{shown}, … ({len(values)} different)" if len(values) > 8 else shown
