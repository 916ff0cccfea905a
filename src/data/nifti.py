"""One NIfTI volume, read to its last byte, so that nothing damaged or truncated gets through."""

import gzip
import zlib
from math import prod
from pathlib import Path
from typing import cast

import numpy as np
from nibabel.arrayproxy import ArrayProxy
from nibabel.filebasedimages import ImageFileError
from nibabel.nifti1 import Nifti1Image
from nibabel.spatialimages import HeaderDataError
from nibabel.wrapstruct import WrapStructError

from src.errors import VolumeError

ENDINGS = (".nii.gz", ".nii")
UNREADABLE = (ImageFileError, HeaderDataError, WrapStructError, ValueError, KeyError, OSError)
AGAIN = " Copy the file again from its source."


def read_volume(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Voxels float32 (X, Y, Z), scaled as the header says, and the affine (4, 4) to mm.

    VolumeError: the file is missing, damaged or truncated (the checksum of `.gz` and the announced
        size are compared), not three-dimensional, holds no real numbers, or has an affine without
        an inverse.
    """
    content = _content(path)
    try:
        image = Nifti1Image.from_bytes(content)
    except UNREADABLE as error:
        raise VolumeError(f"expected a NIfTI-1 file, found another ({error}).{AGAIN}") from error
    return _voxels(cast(ArrayProxy, image.dataobj), len(content)), _affine(image)


def _content(path: Path) -> bytes:
    """The file's bytes, unpacked. A `.gz` is unpacked to its end, where its checksum is."""
    if path.is_dir():
        raise VolumeError("expected a file, found a folder. Move the file inside it one level up.")
    try:
        raw = path.read_bytes()
        return gzip.decompress(raw) if path.suffix == ".gz" else raw
    except FileNotFoundError:
        raise VolumeError(f"expected a file, found none; a broken link?{AGAIN}") from None
    except (OSError, EOFError, zlib.error) as error:
        raise VolumeError(f"the file is damaged or cut short ({error}).{AGAIN}") from error


def _voxels(stored: ArrayProxy, size_bytes: int) -> np.ndarray:
    """The stored numbers, once the file of `size_bytes` is known to hold them all."""
    if stored.dtype.kind not in "iuf":
        raise VolumeError(f"expected real numbers, found {stored.dtype}. Export one value a voxel.")
    if len(stored.shape) != 3 or min(stored.shape) < 1:
        raise VolumeError(f"expected 3 axes, found shape {stored.shape}. Export one volume a file.")
    announced = int(stored.offset) + prod(stored.shape) * stored.dtype.itemsize
    if announced > size_bytes:
        raise VolumeError(
            f"expected {announced} bytes for shape {stored.shape}, found {size_bytes}.{AGAIN}"
        )
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is refused as infinite
        return np.asarray(stored, dtype=np.float32)


def _affine(image: Nifti1Image) -> np.ndarray:
    affine = np.asarray(image.affine, np.float64)
    if np.isfinite(affine).all() and abs(np.linalg.det(affine)) > 1e-9:
        return affine
    raise VolumeError(
        f"expected an affine that can be inverted, found {affine.tolist()}. Mend the header's "
        "sform or qform."
    )
