"""The three nested tumour regions that BraTS scores, and their labels in each data set."""

import numpy as np

from src import require
from src.data.kinds import KINDS, Labels
from src.errors import CaseError

REGIONS = ("WT", "TC", "ET")
NEARLY = 0.01  # so near to a whole number, a label was computed in floating point, not interpolated
MANY = 20  # different values, and it is no segmentation


def to_regions(label: np.ndarray, kind: str, folder: str = "") -> np.ndarray:
    """Regions uint8 (3, *label.shape) in the order WT, TC, ET, where ET lies within TC within WT.

    label: whole numbers 0-255 of any dtype, in the convention of the data set `kind`. WT is all
        tumour, TC core and enhancing, ET enhancing.
    folder: the case's, for the hint at another kind whose cases are named so.
    CaseError: a value is not in the convention.
    """
    labels = _labels(kind)
    bytes_ = _as_bytes(label)
    if bytes_ is None:
        raise CaseError(unlawful(label, kind, folder))
    found = np.flatnonzero(np.bincount(bytes_.ravel(), minlength=256)).tolist()
    if not labels.values.issuperset(found):
        raise CaseError(unlawful(label, kind, folder))
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


def unlawful(label: np.ndarray, kind: str, folder: str) -> str:
    """What is wrong with the values of a label that `kind` does not have, and what to do."""
    found, counts = np.unique(label, return_counts=True)
    expected = ", ".join(map(str, sorted(KINDS[kind].labels.values)))
    text = f"expected label values {expected} ({kind}), found {_listed(found, counts)}."
    if not np.isfinite(found).all():
        return f"{text} Set NaN and infinite to 0 only where you know that no tumour is."
    rounded = np.rint(found)
    if not np.array_equal(rounded, found):
        return f"{text} {_fractions(found, rounded, kind)}"
    if len(found) > MANY:
        return f"{text} Is that an image, and no segmentation?"
    return f"{text} {_other_kinds(found, kind, folder)}"


def _fractions(found: np.ndarray, rounded: np.ndarray, kind: str) -> str:
    """Advice on values that are not whole."""
    if np.abs(found - rounded).max() > NEARLY:
        return (
            "Values between whole numbers: it was interpolated, or holds probabilities. Do not "
            "round it, which would draw rims of other labels; resample the original by nearest "
            "neighbour."
        )
    whole = sorted({int(value) for value in rounded})
    listed = ", ".join(map(str, whole))
    if KINDS[kind].labels.values.issuperset(whole):
        return f"Rounding would give {listed}: save it rounded, as uint8, without a scale."
    return f"Rounding would give {listed}, which {kind} does not know either."


def _other_kinds(found: np.ndarray, kind: str, folder: str) -> str:
    """Which kinds have these values and cases of such a name, with what the values mean there."""
    fitting = [
        f"{name} ({other.labels.meaning})"
        for name, other in KINDS.items()
        if other.labels.values.issuperset(found.tolist()) and other.patient_of_folder(folder)
    ]
    own = f"In {kind}: {KINDS[kind].labels.meaning}."
    if fitting:
        return (
            f"{own} They would fit {' or '.join(fitting)}: is --kind right? Ask whoever drew the "
            "label; values that mean something else fit, too."
        )
    return f"{own} Ask whoever drew the label what its values mean, and renumber them so."


def _labels(kind: str) -> Labels:
    require.one_of("kind", kind, KINDS)
    return KINDS[kind].labels


def _as_bytes(label: np.ndarray) -> np.ndarray | None:
    """The label as uint8, exactly; None if it holds other numbers."""
    if label.dtype == np.uint8:
        return label
    if label.size and not (label.min() >= 0 and label.max() <= 255):
        return None
    bytes_ = label.astype(np.uint8)
    return bytes_ if np.array_equal(bytes_, label) else None


def _listed(values: np.ndarray, counts: np.ndarray) -> str:
    """The values with all digits that tell them apart; of odd ones, how many voxels have them."""
    shown = [
        _digits(value) if float(value).is_integer() else f"{_digits(value)} (voxels: {count})"
        for value, count in zip(values[:8], counts[:8], strict=True)
    ]
    more = f", … ({len(values)} different)" if len(values) > 8 else ""
    return ", ".join(shown) + more


def _digits(value: np.generic) -> str:
    """The shortest decimal that is this number and no other of its type."""
    return str(int(value)) if float(value).is_integer() else str(value)
