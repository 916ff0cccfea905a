"""How the grid of one file of a case differs from that of its T1, and what to do about that.

Resampling by a wrong header moves a tumour for good. It is advised only where the grids themselves
differ, in voxel edges or field of view; never where a header was lost or rewritten.
"""

from itertools import product
from typing import Literal

import numpy as np
from nibabel.affines import voxel_sizes
from nibabel.orientations import (
    aff2axcodes,
    inv_ornt_aff,
    io_orientation,
    ornt_transform,
)

# How far apart two files of a case may put the grid's corners. Headers that went through other
# software differ by rounding, microns; a voxel is 1 mm.
TOLERANCE_MM = 0.1
SAME_EDGE = 1e-3  # mm

Shape = tuple[int, ...]
Lost = Literal["file", "first"] | None

COPY = (
    "Look at both in a viewer that goes by voxels. If they fit, copy the header of {first} into "
    "this file (fslcpgeom, or nibabel.Nifti1Image(data, image.affine)) and do not resample: that "
    "would move what is drawn. If they do not fit, go back to the file it was made from."
)
RESAMPLE = (
    "Register and resample all files of a case to one grid; a label by nearest neighbour only."
)


def difference(
    shape: Shape, affine: np.ndarray, first: str, first_shape: Shape, first_affine: np.ndarray
) -> str | None:
    """What was expected, what was found and what to do; None if both are one grid.

    first: the name of the T1's file.
    """
    apart = _apart(shape, affine, first_affine)
    if shape == first_shape and apart <= TOLERANCE_MM:
        return None
    lost = _lost(shape, affine, first_shape, first_affine)
    if _turned(shape, affine, first_shape, first_affine):
        found = f"the same box stored as {_codes(affine)} instead of {_codes(first_affine)}"
        advice = f"{_doubt(lost, first)}Turn one of them as the other is stored: {TURN}"
        return f"expected the grid of {first}, found {found}. {advice}"
    if shape != first_shape:
        found, advice = _other_shape(affine, first_affine, lost)
        return f"expected shape {first_shape} as {first}, found {shape}: {found}. {advice}"
    found, advice = _other_place(affine, first, first_affine, lost)
    return (
        f"expected the affine of {first}, found one that is {apart:.3g} mm off: {found}. {advice}"
    )


TURN = (
    "nibabel.as_closest_canonical for all files of the case, or nearest neighbour. That moves "
    "whole voxels and changes no value; do not interpolate."
)


def _doubt(lost: Lost, first: str) -> str:
    if lost is None:
        return ""
    return (
        "One of the two headers is a program's default, so it may as well be lost: look at both in "
        f"a viewer first. If they fit voxel by voxel, copy the header of {first}. Else: "
    )


def _apart(shape: Shape, affine: np.ndarray, other: np.ndarray) -> float:
    """The largest distance in mm that a corner of the grid moves."""
    corners = np.array([[*corner, 1] for corner in product(*((0, n - 1) for n in shape))])
    return float(np.linalg.norm(corners @ (affine - other).T, axis=1).max())


def _turned(shape: Shape, affine: np.ndarray, first_shape: Shape, first: np.ndarray) -> bool:
    """Whether both are one grid whose axes are stored in another order or direction."""
    turn = ornt_transform(io_orientation(affine), io_orientation(first))
    turned = [0, 0, 0]
    for axis, length in enumerate(shape):
        turned[int(turn[axis, 0])] = length
    moved = affine @ inv_ornt_aff(turn, shape)
    return tuple(turned) == first_shape and _apart(first_shape, moved, first) <= TOLERANCE_MM


def _lost(shape: Shape, affine: np.ndarray, first_shape: Shape, first: np.ndarray) -> Lost:
    """Which of the two headers is what programs write that know of none."""
    if _default(shape, affine):
        return "file"
    return "first" if _default(first_shape, first) else None


def _default(shape: Shape, affine: np.ndarray) -> bool:
    """Axes along the world's, from 0 or about the middle, as files without a place are given."""
    edges = voxel_sizes(affine)
    if not np.allclose(np.abs(affine[:3, :3]), np.diag(edges), atol=1e-4):
        return False
    middle = (np.array(shape) - 1) * edges / 2
    origin = np.abs(affine[:3, 3])
    return bool(np.allclose(origin, 0) or np.all(np.abs(origin - middle) <= edges / 2 + 1e-4))


def _other_shape(affine: np.ndarray, first_affine: np.ndarray, lost: Lost) -> tuple[str, str]:
    if np.allclose(affine[:3, :3], first_affine[:3, :3], atol=SAME_EDGE):
        found = "the same voxels, cut or padded to another field of view"
        return found, "Pad or crop it by whole voxels; do not interpolate a label."
    if lost == "file":
        return (
            "another shape, and a header without a place in space",
            "Go back to the file it was made from; without its place nothing can be resampled.",
        )
    if np.allclose(voxel_sizes(affine), voxel_sizes(first_affine), atol=SAME_EDGE):
        return "another field of view", RESAMPLE
    return f"voxels of {_edges(affine)} instead of {_edges(first_affine)}", RESAMPLE


def _other_place(
    affine: np.ndarray, first: str, first_affine: np.ndarray, lost: Lost
) -> tuple[str, str]:
    """Of two grids of one shape."""
    copy = COPY.format(first=first)
    if lost == "file":
        return "a header that was lost and is a program's default", copy
    if lost == "first":
        return f"the header of {first} was lost and is a program's default", (
            f"If this file and {first} fit voxel by voxel in a viewer, copy this file's header "
            f"into {first}; do not resample."
        )
    if not np.allclose(voxel_sizes(affine), voxel_sizes(first_affine), atol=SAME_EDGE):
        return f"voxels of {_edges(affine)} instead of {_edges(first_affine)}", RESAMPLE
    axes, first_axes = affine[:3, :3], first_affine[:3, :3]
    if np.allclose(axes, first_axes, atol=SAME_EDGE):
        shift = ", ".join(f"{mm:.3g}" for mm in affine[:3, 3] - first_affine[:3, 3])
        return f"only the origin differs, by ({shift}) mm", copy
    if np.allclose(np.abs(axes), np.abs(first_axes), atol=SAME_EDGE):
        return "only signs differ, as where LPS and RAS are mixed up", copy
    return "the same voxels, turned", copy


def _codes(affine: np.ndarray) -> str:
    return "".join(code or "?" for code in aff2axcodes(affine))


def _edges(affine: np.ndarray) -> str:
    return " x ".join(f"{edge:.4g}" for edge in voxel_sizes(affine)) + " mm"
