"""Preprocessing: crop to the brain, z-score each sequence within it; done once per case, then kept.

Nothing is measured over more than one case: a site-wide statistic would tie patients together.
"""

import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import nibabel
import numpy as np

from src.data.case import Case, CaseFiles, read_case

MARGIN = 2  # voxels kept around the brain
FORMAT = 1  # of a cache entry; another number, and old entries are not used


@dataclass(frozen=True)
class PreparedCase:
    """A case as the network takes it.

    images: float32 (4, x, y, z), z-scored within the brain, 0 outside. regions: uint8 (3, x, y, z)
    or None. affine, full_shape: of the files' grid, in which the box begins at voxel `origin`.
    """

    case_id: str
    patient_id: str
    images: np.ndarray
    regions: np.ndarray | None
    affine: np.ndarray
    full_shape: tuple[int, int, int]
    origin: tuple[int, int, int]

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Voxel edge along X, Y, Z."""
        x, y, z = nibabel.affines.voxel_sizes(self.affine)
        return float(x), float(y), float(z)

    @property
    def left_right_axis(self) -> int:
        """The array axis (0, 1 or 2) along which left and right lie."""
        codes = nibabel.orientations.aff2axcodes(self.affine)
        return next(axis for axis, code in enumerate(codes) if code in "LR")

    @cached_property
    def tumour_voxels(self) -> np.ndarray:
        """Indices (n, 3) of up to 20,000 voxels of WT, evenly picked; empty without a tumour."""
        if self.regions is None:
            return np.empty((0, 3), np.int32)
        voxels = np.argwhere(self.regions[0]).astype(np.int32)
        return voxels[:: max(1, len(voxels) // 20_000)]

    def restore(self, array: np.ndarray) -> np.ndarray:
        """An array (..., x, y, z) of the box in the files' grid (..., X, Y, Z), 0 around it."""
        whole = np.zeros((*array.shape[:-3], *self.full_shape), array.dtype)
        box = tuple(
            slice(start, start + length)
            for start, length in zip(self.origin, array.shape[-3:], strict=True)
        )
        whole[(..., *box)] = array
        return whole


def preprocess(case: Case) -> PreparedCase:
    """Crop to the voxels where any sequence is not 0, and z-score within each sequence's own."""
    box = _brain_box(case.images)
    images = np.stack([_z_score(volume[box]) for volume in case.images])
    regions = (
        None if case.regions is None else np.ascontiguousarray(case.regions[(slice(None), *box)])
    )
    x, y, z = case.images.shape[1:]
    return PreparedCase(
        case_id=case.files.case_id,
        patient_id=case.files.patient_id,
        images=images,
        regions=regions,
        affine=case.affine,
        full_shape=(x, y, z),
        origin=(box[0].start, box[1].start, box[2].start),
    )


def _brain_box(images: np.ndarray) -> tuple[slice, slice, slice]:
    brain = images.any(axis=0)
    sides = []
    for axis in range(3):
        others = tuple(a for a in range(3) if a != axis)
        inside = np.flatnonzero(brain.any(axis=others))
        start = max(int(inside[0]) - MARGIN, 0)
        sides.append(slice(start, min(int(inside[-1]) + MARGIN + 1, brain.shape[axis])))
    return sides[0], sides[1], sides[2]


def _z_score(volume: np.ndarray) -> np.ndarray:
    """float32; (value - mean) / deviation of the voxels that are not 0, which stay 0."""
    brain = volume != 0
    values = volume[brain]
    scored = np.zeros(volume.shape, np.float32)
    deviation = values.std(dtype=np.float64)
    scored[brain] = (values - values.mean(dtype=np.float64)) / (deviation or 1.0)
    return scored


def prepared(files: CaseFiles, cache: Path) -> PreparedCase:
    """The preprocessed case from the cache folder, made there if it is not yet.

    The arrays stay on disk (memory-mapped). An entry belongs to its source files' path, size and
    time of change, so a changed file makes a new one; a damaged entry is made anew.
    """
    entry = cache / _key(files)
    if not (entry / "case.json").is_file():
        _store(preprocess(read_case(files)), entry)
    try:
        return _load(entry)
    except (OSError, ValueError, KeyError):
        shutil.rmtree(entry)
        _store(preprocess(read_case(files)), entry)
        return _load(entry)


def _key(files: CaseFiles) -> str:
    paths = [*files.sequences.values(), *([files.label] if files.label else [])]
    stats = [(str(path.resolve()), path.stat().st_size, path.stat().st_mtime_ns) for path in paths]
    facts = json.dumps([FORMAT, files.kind, stats])
    return f"{files.case_id}-{hashlib.sha256(facts.encode()).hexdigest()[:16]}"


def _store(case: PreparedCase, entry: Path) -> None:
    part = entry.with_name(f".{entry.name}.{os.getpid()}")
    part.mkdir(parents=True, mode=0o700)
    np.save(part / "images.npy", case.images)
    if case.regions is not None:
        np.save(part / "regions.npy", case.regions)
    facts = {
        "case_id": case.case_id,
        "patient_id": case.patient_id,
        "affine": case.affine.tolist(),
        "full_shape": case.full_shape,
        "origin": case.origin,
    }
    (part / "case.json").write_text(json.dumps(facts))
    try:
        part.rename(entry)
    except OSError:  # another process was faster
        shutil.rmtree(part)


def _load(entry: Path) -> PreparedCase:
    facts = json.loads((entry / "case.json").read_text())
    regions = entry / "regions.npy"
    return PreparedCase(
        case_id=facts["case_id"],
        patient_id=facts["patient_id"],
        images=np.load(entry / "images.npy", mmap_mode="r"),
        regions=np.load(regions, mmap_mode="r") if regions.is_file() else None,
        affine=np.array(facts["affine"]),
        full_shape=tuple(facts["full_shape"]),
        origin=tuple(facts["origin"]),
    )
