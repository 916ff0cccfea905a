"""A case: one patient's four sequences and label at one time point, read and checked."""

from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
from nibabel.affines import voxel_sizes
from nibabel.orientations import aff2axcodes

from src.data.nifti import read_volume
from src.data.regions import to_regions
from src.errors import CaseError, VolumeError

SEQUENCES = ("t1", "t1ce", "t2", "flair")  # the network's channels, in this order
# How far apart two files of a case may put the grid's corners. Headers that went through other
# software differ by rounding, microns; a voxel is 1 mm.
GRID_TOLERANCE_MM = 0.1


@dataclass(frozen=True)
class CaseFiles:
    """Where the files of a case lie. Several cases (time points) can share a patient.

    kind: the data set's, a key of `src.data.kinds.KINDS`.
    label: None for a case to predict.
    grade: "HGG" or "LGG"; None where the data set does not say.
    """

    case_id: str
    patient_id: str
    kind: str
    sequences: dict[str, Path]
    label: Path | None
    grade: str | None = None

    @property
    def folder(self) -> Path:
        """The case's own folder."""
        return self.sequences["t1"].parent

    @property
    def paths(self) -> list[Path]:
        """The case's files: the sequences in order, then the label if there is one."""
        label = [] if self.label is None else [self.label]
        return [self.sequences[sequence] for sequence in SEQUENCES] + label


@dataclass(frozen=True)
class Case:
    """A case in memory, in the orientation and on the grid of its files.

    images: float32 (4, X, Y, Z), in the order of SEQUENCES.
    regions: uint8 (3, X, Y, Z); None without a label.
    affine: (4, 4), from voxels to mm.
    """

    case_id: str
    patient_id: str
    images: np.ndarray
    regions: np.ndarray | None
    affine: np.ndarray
    grade: str | None = None

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Voxel edge along X, Y, Z."""
        return spacing_mm(self.affine)

    @property
    def brain(self) -> np.ndarray:
        """bool (X, Y, Z): where any sequence is not 0, since the images are skull-stripped."""
        brain = self.images[0] != 0
        for volume in self.images[1:]:
            brain |= volume != 0
        return brain


def read_case(files: CaseFiles) -> Case:
    """Read a case and check it.

    CaseError: a file is damaged, not three-dimensional or not on the grid of the first one; a
        sequence holds NaN, infinite or only equal values; or the label holds values that `kind`
        does not know.
    """
    first = files.sequences[SEQUENCES[0]]
    volume, affine = _read(files, first)
    images = np.empty((len(SEQUENCES), *volume.shape), np.float32)
    for channel, sequence in enumerate(SEQUENCES):
        path = files.sequences[sequence]
        if channel:
            volume, other = _read(files, path)
            _refuse_other_grid(files, path, volume.shape, other, images.shape[1:], affine)
        _refuse_unusable(files, path, volume)
        images[channel] = volume
    regions = None
    if files.label is not None:
        label, other = _read(files, files.label)
        _refuse_other_grid(files, files.label, label.shape, other, images.shape[1:], affine)
        regions = _regions(files, files.label, label)
    return Case(files.case_id, files.patient_id, images, regions, affine, files.grade)


def spacing_mm(affine: np.ndarray) -> tuple[float, float, float]:
    """Voxel edge along each array axis."""
    x, y, z = voxel_sizes(affine)
    return float(x), float(y), float(z)


def left_right_axis(affine: np.ndarray) -> int:
    """The array axis (0, 1 or 2) that runs most nearly between a patient's left and right."""
    return next(axis for axis, code in enumerate(aff2axcodes(affine)) if code in ("L", "R"))


def _read(files: CaseFiles, path: Path) -> tuple[np.ndarray, np.ndarray]:
    try:
        return read_volume(path)
    except VolumeError as error:
        raise _refusal(files, path, str(error)) from error


def _refusal(files: CaseFiles, path: Path, text: str) -> CaseError:
    return CaseError(f"Case {files.case_id}: {path}: {text}")


def _refuse_other_grid(files, path, shape, affine, first_shape, first_affine) -> None:
    """CaseError unless the file lies on the grid of the case's T1."""
    first = files.sequences[SEQUENCES[0]].name
    advice = "Register and resample all files of a case to one grid."
    if shape != first_shape:
        text = f"expected shape {first_shape} as {first}, found {shape}. {advice}"
        raise _refusal(files, path, text)
    corners = np.array([[*corner, 1] for corner in product(*((0, n - 1) for n in shape))])
    apart = float(np.linalg.norm(corners @ (affine - first_affine).T, axis=1).max())
    if apart > GRID_TOLERANCE_MM:
        text = f"expected the affine of {first}, found one that is {apart:.3g} mm off. {advice}"
        raise _refusal(files, path, text)


def _refuse_unusable(files: CaseFiles, path: Path, volume: np.ndarray) -> None:
    """CaseError if the sequence holds NaN, infinite or only equal values."""
    low, high = float(volume.min()), float(volume.max())
    if not np.isfinite([low, high]).all():
        count = int(volume.size - np.isfinite(volume).sum())
        text = f"expected finite numbers, found {count} NaN or infinite voxels. Export it again."
        raise _refusal(files, path, text)
    if low == high:
        raise _refusal(files, path, f"expected an image, found {low:g} in every voxel. Replace it.")


def _regions(files: CaseFiles, path: Path, label: np.ndarray) -> np.ndarray:
    try:
        return to_regions(label, files.kind)
    except CaseError as error:
        raise _refusal(files, path, str(error)) from error
