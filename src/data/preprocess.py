"""Preprocessing: crop to the brain and z-score each sequence within it, once per case.

Nothing is measured over more than one case: a site-wide statistic would couple patients. The result
is kept in a cache.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from src import disk
from src.data.case import Case, CaseFiles, left_right_axis, read_case, spacing_mm
from src.data.regions import REGIONS
from src.errors import Damaged

MARGIN = 2  # voxels kept around the brain
FORMAT = 2  # of a cache entry; another number, and old entries are not used


@dataclass(frozen=True)
class PreparedCase:
    """A case as the network takes it.

    images: float32 (4, x, y, z), z-scored within the brain, 0 outside.
    regions: uint8 (3, x, y, z); None without a label.
    affine, full_shape: of the files' grid, in which the box begins at voxel `origin`.
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
        return spacing_mm(self.affine)

    @property
    def left_right_axis(self) -> int:
        """The array axis (0, 1 or 2) along which left and right lie."""
        return left_right_axis(self.affine)

    @cached_property
    def tumour_voxels(self) -> np.ndarray:
        """Indices (n, 3) of up to 20,000 voxels of WT, evenly picked; empty without a tumour."""
        if self.regions is None:
            return np.empty((0, 3), np.int32)
        voxels = np.argwhere(self.regions[0]).astype(np.int32)
        return voxels[:: max(1, -(-len(voxels) // 20_000))]

    def restore(self, array: np.ndarray) -> np.ndarray:
        """Place an array (..., x, y, z) of the box into the files' grid (..., X, Y, Z), 0 around
        it.

        ValueError: the array does not have the box's shape.
        """
        box_shape = self.images.shape[1:]
        if array.shape[-3:] != box_shape:
            raise ValueError(
                f"Case {self.case_id}: expected an array (…, {box_shape}), found {array.shape}."
            )
        whole = np.zeros((*array.shape[:-3], *self.full_shape), array.dtype)
        box = tuple(
            slice(start, start + length)
            for start, length in zip(self.origin, box_shape, strict=True)
        )
        whole[(..., *box)] = array
        return whole


def preprocess(case: Case) -> PreparedCase:
    """Crop to the voxels where any sequence is not 0, and z-score within each sequence's own.

    The box has a margin of MARGIN voxels where the grid allows. Arrays are copies, so the case can
    be freed.
    """
    box = _box(case.brain)
    images = np.stack([_z_score(volume[box]) for volume in case.images])
    regions = None
    if case.regions is not None:
        regions = np.ascontiguousarray(case.regions[(slice(None), *box)])
    x, y, z = case.images.shape[1:]
    return PreparedCase(
        case_id=case.case_id,
        patient_id=case.patient_id,
        images=images,
        regions=regions,
        affine=case.affine,
        full_shape=(x, y, z),
        origin=(box[0].start, box[1].start, box[2].start),
    )


def prepared(files: CaseFiles, cache: Path) -> PreparedCase:
    """The preprocessed case from the cache folder; it is made there if it is missing.

    The arrays stay on disk (memory-mapped, read-only). An entry belongs to its source files' path,
    size and modification time, so a changed file makes a new entry; an incomplete or truncated
    entry is made anew. CaseError: as `read_case`.
    """
    entry = cache / entry_name(files)
    case = _load(entry)
    if case is None:
        with _alone(cache):
            case = _load(entry)  # another process may just have made it
            if case is None:
                _store(preprocess(read_case(files)), entry)
                case = _load(entry)
    if case is None:
        raise Damaged(f"Expected a cache entry at {entry}, found none after writing it. Disk full?")
    return case


@contextmanager
def _alone(cache: Path) -> Iterator[None]:
    """Hold the cache's lock, so that one process at a time writes.

    The system frees it if the holder dies.
    """
    cache.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = cache.with_name(f".{cache.name}.lock")
    with path.open("wb") as lock:
        disk.lock(lock, path)
        yield


def _box(brain: np.ndarray) -> tuple[slice, slice, slice]:
    """The box around the True voxels of (X, Y, Z), with a margin."""
    sides = []
    for axis, length in enumerate(brain.shape):
        others = tuple(a for a in range(3) if a != axis)
        inside = np.flatnonzero(brain.any(axis=others))
        start, stop = int(inside[0]) - MARGIN, int(inside[-1]) + 1 + MARGIN
        sides.append(slice(max(start, 0), min(stop, length)))
    return sides[0], sides[1], sides[2]


def _z_score(volume: np.ndarray) -> np.ndarray:
    """float32 (value - mean) / deviation of the voxels that are not 0, which stay 0.

    A flat brain (one value, zero deviation) becomes 0 throughout.
    """
    brain = volume != 0
    values = volume[brain]
    scored = np.zeros(volume.shape, np.float32)
    mean, deviation = values.mean(dtype=np.float64), values.std(dtype=np.float64)
    scored[brain] = (values - np.float32(mean)) / np.float32(deviation or 1.0)
    return scored


def entry_name(files: CaseFiles) -> str:
    """The name of a case's entry in the cache; another one once a source file has changed."""
    stats = [(str(path.resolve()), path.stat()) for path in files.paths if path.exists()]
    sources = [(path, stat.st_size, stat.st_mtime_ns) for path, stat in stats]
    facts = json.dumps([FORMAT, files.case_id, files.patient_id, files.kind, sources])
    return f"{files.case_id}-{hashlib.sha256(facts.encode()).hexdigest()[:16]}"


def _store(case: PreparedCase, entry: Path) -> None:
    """Write the entry beside its place, then rename it: readers see it whole or not at all."""
    part = Path(tempfile.mkdtemp(prefix=f".{entry.name}.", dir=entry.parent))
    try:
        _save(part / "images.npy", case.images)
        if case.regions is not None:
            _save(part / "regions.npy", case.regions)
        facts = {
            "case_id": case.case_id,
            "patient_id": case.patient_id,
            "labelled": case.regions is not None,
            "affine": case.affine.tolist(),
            "full_shape": case.full_shape,
            "origin": case.origin,
        }
        (part / "case.json").write_text(json.dumps(facts), encoding="utf-8")
        shutil.rmtree(entry, ignore_errors=True)  # a damaged one
        part.rename(entry)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _save(path: Path, array: np.ndarray) -> None:
    """Write to the disk itself, so that a power cut after the rename leaves no half entry."""
    with path.open("wb") as file, disk.named(path):
        np.save(file, array)
        file.flush()
        os.fsync(file.fileno())


def _load(entry: Path) -> PreparedCase | None:
    """The entry; None if there is none or it is damaged."""
    try:
        facts = json.loads((entry / "case.json").read_text(encoding="utf-8"))
        images = np.load(entry / "images.npy", mmap_mode="r")
        regions = np.load(entry / "regions.npy", mmap_mode="r") if facts["labelled"] else None
        case = PreparedCase(
            case_id=facts["case_id"],
            patient_id=facts["patient_id"],
            images=images,
            regions=regions,
            affine=np.array(facts["affine"]),
            full_shape=tuple(facts["full_shape"]),
            origin=tuple(facts["origin"]),
        )
    except (OSError, EOFError, ValueError, KeyError, TypeError):
        return None
    fitting = regions is None or regions.shape == (len(REGIONS), *images.shape[1:])
    return case if fitting and images.dtype == np.float32 and images.ndim == 4 else None
