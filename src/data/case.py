"""A case: one patient's four sequences and label at one time point, read and checked."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from nibabel.affines import voxel_sizes
from nibabel.orientations import aff2axcodes

from src.data import grid, intensities
from src.data.kinds import KINDS
from src.data.nifti import read_volume
from src.data.regions import to_regions
from src.errors import CaseError, VolumeError

SEQUENCES = ("t1", "t1ce", "t2", "flair")  # the network's channels, in this order


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
    label: uint8 (X, Y, Z), as stored; None where only the regions are known.
    """

    case_id: str
    patient_id: str
    images: np.ndarray
    regions: np.ndarray | None
    affine: np.ndarray
    grade: str | None = None
    label: np.ndarray | None = None

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

    CaseError: a file cannot be read, is damaged, not three-dimensional or not on the grid of the
        first one; a sequence is no image on a background of 0 (NaN, infinite, only equal values,
        or a background of another value), or the same as another one; or the label holds values
        that `kind` does not know.
    """
    first = files.sequences[SEQUENCES[0]]
    volume, affine = _read(files, first)
    images = np.empty((len(SEQUENCES), *volume.shape), np.float32)
    for channel, sequence in enumerate(SEQUENCES):
        path = files.sequences[sequence]
        if channel:
            volume, other = _read(files, path)
            _refuse_other_grid(files, path, volume.shape, other, images.shape[1:], affine)
        images[channel] = volume
    _refuse_unusable(files, images)
    label = regions = None
    if files.label is not None:
        stored, other = _read(files, files.label)
        _refuse_other_grid(files, files.label, stored.shape, other, images.shape[1:], affine)
        regions = _regions(files, files.label, stored)
        label = stored.astype(np.uint8)
    return Case(files.case_id, files.patient_id, images, regions, affine, files.grade, label)


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
    if text := grid.difference(shape, affine, first, first_shape, first_affine):
        raise _refusal(files, path, text)


def _refuse_unusable(files: CaseFiles, images: np.ndarray) -> None:
    """CaseError if a sequence is no image on a background of 0, or the same as another one."""
    for channel, sequence in enumerate(SEQUENCES):
        if text := intensities.unusable(images, channel):
            raise _refusal(files, files.sequences[sequence], text)
    alike = intensities.same(images)
    if alike and alike[2] >= intensities.SAME_CORRELATION:
        one, other = SEQUENCES[alike[0]], SEQUENCES[alike[1]]
        text = (
            f"expected {other}, found the same image as {files.sequences[one].name} (correlation "
            f"{alike[2]:.4f} within the brain). Find out which of the two it is, and put the "
            "missing one in its place."
        )
        raise _refusal(files, files.sequences[other], text)


def _regions(files: CaseFiles, path: Path, label: np.ndarray) -> np.ndarray:
    try:
        return to_regions(label, files.kind, files.case_id + KINDS[files.kind].folder_tail)
    except CaseError as error:
        raise _refusal(files, path, str(error)) from error
