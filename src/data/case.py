"""A case: one patient's four sequences and label at one time point, read and checked."""

from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
from nibabel.filebasedimages import ImageFileError

from src.data.regions import to_regions

SEQUENCES = ("t1", "t1ce", "t2", "flair")  # the network's channels, in this order
AFFINE_TOLERANCE_MM = 1e-3


class CaseError(ValueError):
    """A case that must not be used; the message names case, file, expected, found, what to do."""


@dataclass(frozen=True)
class CaseFiles:
    """Where a case lies. Several cases (time points) can share a patient.

    grade: "HGG", "LGG", or None where the data set does not say. label: None for a case to predict.
    """

    case_id: str
    patient_id: str
    kind: str
    sequences: dict[str, Path]
    label: Path | None
    grade: str | None = None


@dataclass(frozen=True)
class Case:
    """A case in memory, in the orientation and on the grid of its files.

    images: float32 (4, X, Y, Z). regions: uint8 (3, X, Y, Z) or None. affine: (4, 4) to mm.
    """

    files: CaseFiles
    images: np.ndarray
    regions: np.ndarray | None
    affine: np.ndarray

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Voxel edge along X, Y, Z."""
        x, y, z = nibabel.affines.voxel_sizes(self.affine)
        return float(x), float(y), float(z)


def read_case(files: CaseFiles) -> Case:
    """Read and check a case. CaseError: damaged, not on one grid, unexpected values or labels."""
    paths = [files.sequences[sequence] for sequence in SEQUENCES]
    volumes, affines = zip(*(_read(files.case_id, path) for path in paths), strict=True)
    grid = _Grid(files.case_id, paths[0], volumes[0].shape, affines[0])
    for path, volume, affine in zip(paths, volumes, affines, strict=True):
        grid.require(path, volume.shape, affine)
        _usable(files.case_id, path, volume)
    regions = None
    if files.label is not None:
        label, affine = _read(files.case_id, files.label)
        grid.require(files.label, label.shape, affine)
        regions = _regions(files, label)
    return Case(files, np.stack(volumes), regions, affines[0])


def _read(case_id: str, path: Path) -> tuple[np.ndarray, np.ndarray]:
    try:
        image = nibabel.loadsave.load(path)
        volume = np.asarray(image.dataobj, dtype=np.float32)
    except FileNotFoundError:
        raise CaseError(f"Case {case_id}: {path} does not exist.") from None
    except (OSError, EOFError, ValueError, ImageFileError) as error:
        raise CaseError(
            f"Case {case_id}: {path} cannot be read as NIfTI ({error}). It is damaged or was cut "
            "short; copy it again."
        ) from error
    if volume.ndim != 3:
        raise CaseError(f"Case {case_id}: {path}: expected 3 axes, found shape {volume.shape}.")
    return volume, np.asarray(image.affine)


@dataclass(frozen=True)
class _Grid:
    """The grid of a case's first file, which all others must share."""

    case_id: str
    path: Path
    shape: tuple[int, ...]
    affine: np.ndarray

    def require(self, path: Path, shape: tuple[int, ...], affine: np.ndarray) -> None:
        names = f"Case {self.case_id}: {path.name}"
        advice = "All files of a case must lie on one grid; register and resample them."
        if shape != self.shape:
            raise CaseError(f"{names} has shape {shape}, {self.path.name} {self.shape}. {advice}")
        apart = np.abs(affine - self.affine).max()
        if apart > AFFINE_TOLERANCE_MM:
            raise CaseError(
                f"{names} and {self.path.name} have affines that differ by up to {apart:.3g}. "
                f"{advice}"
            )


def _usable(case_id: str, path: Path, volume: np.ndarray) -> None:
    if not np.isfinite(volume).all():
        count = int((~np.isfinite(volume)).sum())
        raise CaseError(f"Case {case_id}: {path}: {count} values are NaN or infinite.")
    if not volume.any():
        raise CaseError(f"Case {case_id}: {path}: every voxel is 0; the sequence is empty.")


def _regions(files: CaseFiles, label: np.ndarray) -> np.ndarray:
    try:
        return to_regions(label, files.kind)
    except ValueError as error:
        raise CaseError(f"Case {files.case_id}: {files.label}: {error}") from error
