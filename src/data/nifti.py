"""One NIfTI-1 volume, read to its last byte and no further, so that nothing damaged gets through.

The header comes first. Then as many bytes are unpacked as it announces, and one more, which must
not be there: a small file that unpacks to gigabytes costs no memory.
"""

import gzip
import os
import stat
import zlib
from dataclasses import dataclass
from io import BytesIO
from math import prod
from pathlib import Path
from typing import BinaryIO

import numpy as np
from nibabel.arrayproxy import ArrayProxy
from nibabel.nifti1 import Nifti1Header
from nibabel.spatialimages import HeaderDataError

from src.data.first_bytes import GZIP, HEADER_BYTES, LOOK_BYTES, is_nifti1, what_it_is
from src.data.unreadable import why_unreadable
from src.errors import VolumeError

ENDINGS = (".nii.gz", ".nii")
AGAIN = " Copy the file again from its source."
EXPORT = " Copy the file again from its source, or export it again."
DATA_AT = 352  # the first byte behind the header where there are no extensions
MOST_VOXELS = 512**3  # a head at 0.4 mm
MOST_EXTENSION_BYTES = 16 << 20
SLAB_BYTES = 4 << 20  # about as much is unpacked at a time
MOST_DEFLATED = 1032  # bytes from one: deflate packs no better (zlib, technical details)
MOST_SHEAR = 1e-3  # cosine of the angle between two voxel axes


@dataclass(frozen=True)
class Announced:
    """What a header says of the numbers behind it. offset: of the first one, in bytes."""

    shape: tuple[int, int, int]
    dtype: np.dtype
    offset: int
    slope: float
    inter: float

    @property
    def end(self) -> int:
        """The length of the unpacked file."""
        return self.offset + prod(self.shape) * self.dtype.itemsize


def read_volume(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Voxels float32 (X, Y, Z), scaled as the header says, and the affine (4, 4) to mm.

    Further axes of length 1 are dropped.
    VolumeError: there is no file, the system does not give it, it is something else, damaged,
        truncated or longer than its header says (a `.gz` is unpacked to its checksum), not
        three-dimensional, too large for a head, holds no real numbers, or has an affine without an
        inverse or with axes that are not at right angles.
    """
    try:
        _refuse_no_file(path)
        with path.open("rb") as file:
            return _read(file, packed=path.suffix == ".gz")
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise VolumeError(f"the file is damaged or cut short ({error}).{AGAIN}") from error
    except OSError as error:
        raise VolumeError(why_unreadable(error)) from error


def _refuse_no_file(path: Path) -> None:
    """VolumeError unless it is a file; a pipe would be waited for without end."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        if path.is_symlink() and "annex/objects" in str(path.readlink()):
            raise VolumeError(f"expected a file, found {what_it_is(b'annex/objects/')}") from None
        raise VolumeError(f"expected a file, found none; a broken link?{AGAIN}") from None
    if stat.S_ISDIR(mode):
        raise VolumeError("expected a file, found a folder. Move the file inside it one level up.")
    if not stat.S_ISREG(mode):
        raise VolumeError("expected a file, found a pipe, socket or device. Put the file there.")


def _read(file: BinaryIO, *, packed: bool) -> tuple[np.ndarray, np.ndarray]:
    head = file.read(LOOK_BYTES)
    file.seek(0)
    if packed and is_nifti1(head):
        raise VolumeError(
            "expected a file packed by gzip, as its name says, found NIfTI-1 without. Rename it to "
            "end in .nii, or pack it: `gzip`."
        )
    if packed and not head.startswith(GZIP):
        raise VolumeError(f"expected a NIfTI-1 file packed by gzip, found {what_it_is(head)}")
    size_bytes = os.fstat(file.fileno()).st_size
    if not packed:
        return _unpacked(file, size_bytes, size_bytes)
    with gzip.GzipFile(fileobj=file) as inner:
        return _unpacked(inner, 0, MOST_DEFLATED * size_bytes)


def _unpacked(file, least_bytes: int, most_bytes: int) -> tuple[np.ndarray, np.ndarray]:
    """The volume that a file of some bytes holds, header first."""
    head = file.read(DATA_AT)
    if not is_nifti1(head) or len(head) < DATA_AT:
        raise VolumeError(_no_volume(head + file.read(LOOK_BYTES - len(head))))
    little = int.from_bytes(head[:4], "little") == HEADER_BYTES
    header = Nifti1Header(head[:HEADER_BYTES], "<" if little else ">", check=False)
    announced, affine = _announced(header), _affine(header)
    if announced.end > most_bytes:
        raise _other_length(announced, f"found {most_bytes} at most.{AGAIN}")
    if announced.end < least_bytes:
        raise _longer(announced)
    left = announced.offset - DATA_AT
    while left:
        left -= len(_exactly(file, min(left, SLAB_BYTES), announced))
    voxels = _voxels(file, announced)
    if file.read(1):
        raise _longer(announced)
    return voxels, affine


def _no_volume(head: bytes) -> str:
    if is_nifti1(head):
        return f"expected a NIfTI-1 file, found the header alone.{AGAIN}"
    return f"expected a NIfTI-1 file, found {what_it_is(head)}"


def _announced(header: Nifti1Header) -> Announced:
    """What the header says, if it is what a head's volume can be."""
    axes = int(header["dim"][0])
    shape = tuple(int(length) for length in header["dim"][1 : axes + 1])
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if not 1 <= axes <= 7 or min(shape) < 1:
        raise VolumeError(f"expected 3 axes, found dim {header['dim'].tolist()}.{EXPORT}")
    if len(shape) != 3:
        split = f" Split it into its {prod(shape[3:])} volumes (fslsplit)." if shape[3:] else EXPORT
        raise VolumeError(f"expected 3 axes, found shape {shape}: one volume a file.{split}")
    if prod(shape) > MOST_VOXELS:
        raise VolumeError(
            f"expected at most {MOST_VOXELS} voxels, found shape {shape}. Is that a head? Resample "
            "it, or mend the header."
        )
    offset = float(header["vox_offset"])
    if not DATA_AT <= offset <= DATA_AT + MOST_EXTENSION_BYTES or offset % 1:
        raise VolumeError(f"expected voxels from byte {DATA_AT} on, found {offset:g}.{EXPORT}")
    try:
        dtype = header.get_data_dtype()
        slope, inter = header.get_slope_inter()
    except (HeaderDataError, KeyError) as error:
        raise VolumeError(f"expected a type and scale of numbers, found {error}.{EXPORT}") from None
    if dtype.kind not in "iuf":
        found = "colours" if dtype.names else f"{dtype}"
        raise VolumeError(f"expected real numbers, found {found}. Export one value a voxel.")
    return Announced(shape, dtype, int(offset), slope or 1.0, inter or 0.0)


def _voxels(file, announced: Announced) -> np.ndarray:
    """The stored numbers, a few slices at a time; what overflows float32 becomes infinite."""
    x, y, slices = announced.shape
    slice_bytes = x * y * announced.dtype.itemsize
    voxels = np.empty(announced.shape, np.float32, order="F")
    step = max(1, SLAB_BYTES // slice_bytes)
    for start in range(0, slices, step):
        count = min(step, slices - start)
        stored = BytesIO(_exactly(file, count * slice_bytes, announced))
        form = ((x, y, count), announced.dtype, 0, announced.slope, announced.inter)
        with np.errstate(over="ignore", invalid="ignore"):
            voxels[..., start : start + count] = np.asarray(ArrayProxy(stored, form), np.float32)
    return voxels


def _exactly(file, count: int, announced: Announced) -> bytes:
    content = file.read(count)
    if len(content) < count:
        raise _other_length(announced, f"found fewer.{AGAIN}")
    return content


def _other_length(announced: Announced, found: str) -> VolumeError:
    return VolumeError(f"expected {announced.end} bytes for shape {announced.shape}, {found}")


def _longer(announced: Announced) -> VolumeError:
    return _other_length(announced, f"found more: the header is another volume's.{EXPORT}")


def _affine(header: Nifti1Header) -> np.ndarray:
    """From voxels to mm: the sform, else the qform, else by the voxel edges alone."""
    edges = header["pixdim"]
    edges[1:4] = np.abs(edges[1:4])
    if edges[0] not in (-1, 1):
        edges[0] = 1  # as the standard says of 0
    try:
        affine = np.asarray(header.get_best_affine(), np.float64)
    except (HeaderDataError, ValueError) as error:
        raise VolumeError(f"expected a qform that is a rotation, found {error}.{EXPORT}") from None
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine)) <= 1e-9:
        raise VolumeError(
            f"expected an affine that can be inverted, found {affine.tolist()} (pixdim "
            f"{edges[1:4].tolist()}). Mend the header's sform, qform or pixdim."
        )
    axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    shear = float(np.abs(axes.T @ axes - np.eye(3)).max())
    if shear > MOST_SHEAR:
        raise VolumeError(
            f"expected voxel axes at right angles, found {np.degrees(np.arccos(shear)):.3g} "
            "degrees: a sheared sform, as an affine registration writes it. Volumes and distances "
            "in mm would be wrong. Resample all files of the case to one rectangular grid."
        )
    return affine
