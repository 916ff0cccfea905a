"""Grids that differ are explained, and resampling is advised only where it does no harm."""

import nibabel
import numpy as np
import pytest

from src.data.grid import difference

SHAPE = (240, 240, 155)
BRATS = np.array([[-1.0, 0, 0, 0], [0, -1.0, 0, 239], [0, 0, 1.0, 0], [0, 0, 0, 1]])
COARSE = np.diag([-5.5, -5.5, 5.5, 1.0])
COARSE[1, 3] = 170.5
LPS = np.diag([-1.0, -1, 1, 1])
BY_DEFAULT = nibabel.Nifti1Header()
BY_DEFAULT.set_data_shape(SHAPE)


def moved(affine, *mm):
    other = affine.copy()
    other[:3, 3] += mm
    return other


def stored_as(axes, shape, affine):
    """The grid as it is stored with other axes."""
    turn = nibabel.orientations.ornt_transform(
        nibabel.io_orientation(affine), nibabel.orientations.axcodes2ornt(axes)
    )
    turned = [0, 0, 0]
    for axis in range(3):
        turned[int(turn[axis, 0])] = shape[axis]
    return tuple(turned), affine @ nibabel.orientations.inv_ornt_aff(turn, shape)


def rotated(affine, degrees):
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return np.array([[c, -s, 0, 0], [s, c, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]) @ affine


def told(shape, affine, first_shape=SHAPE, first_affine=BRATS) -> str:
    text = difference(shape, affine, "x_t1.nii.gz", first_shape, first_affine)
    assert text is not None
    assert text.startswith("expected ")
    return text


def test_rounding_is_one_grid():
    assert difference(SHAPE, BRATS + 3e-5, "x", SHAPE, BRATS) is None
    assert difference(SHAPE, moved(BRATS, 0.05, 0, 0), "x", SHAPE, BRATS) is None


@pytest.mark.parametrize(
    ("affine", "first"),
    [
        (np.eye(4), BRATS),
        (np.eye(4), COARSE),
        (LPS, BRATS),  # as ITK writes an array
        (BY_DEFAULT.get_base_affine(), BRATS),  # as nibabel and SPM read a header without a place
        (moved(np.eye(4), -120, -120, -77.5), BRATS),
    ],
)
def test_a_lost_header_is_to_be_copied_and_never_resampled_by(affine, first):
    text = told(SHAPE, affine, SHAPE, first)
    assert "a header that was lost and is a program's default" in text
    assert "copy the header of x_t1.nii.gz" in text
    assert "do not resample" in text
    assert "Register and resample" not in text


def test_where_the_t1_lost_its_header_that_one_is_named():
    text = told(SHAPE, BRATS, SHAPE, np.eye(4))
    assert "the header of x_t1.nii.gz was lost" in text
    assert "copy this file's header into x_t1.nii.gz; do not resample" in text


@pytest.mark.parametrize(
    ("affine", "found"),
    [
        (moved(BRATS, 0, 0, 12), "only the origin differs, by (0, 0, 12) mm"),
        (moved(BRATS, 300, 0, 0), "only the origin differs, by (300, 0, 0) mm"),
        (np.diag([-1.0, -1, 1, 1]) @ BRATS, "only signs differ, as where LPS and RAS are mixed up"),
        (rotated(BRATS, 12), "the same voxels, turned"),
    ],
)
def test_a_header_that_was_rewritten_is_looked_at_and_never_resampled_by(affine, found):
    text = told(SHAPE, affine)
    assert found in text
    assert "do not resample" in text
    assert "Register and resample" not in text


@pytest.mark.parametrize("axes", ["RAS", "RPS", "SAR", "PIL"])
def test_the_same_box_stored_otherwise_is_to_be_turned_and_not_interpolated(axes):
    shape, affine = stored_as(axes, SHAPE, BRATS)
    text = told(shape, affine)
    assert f"the same box stored as {axes} instead of LPS" in text
    assert "Turn one of them" in text
    assert "do not interpolate" in text
    assert "copy the header" not in text  # that would mirror the tumour


def test_where_turned_and_lost_look_alike_both_are_told():
    shape, affine = stored_as("RAS", SHAPE, moved(LPS, 239, 239, 0))
    assert np.array_equal(affine, np.eye(4))
    text = told(shape, affine, SHAPE, moved(LPS, 239, 239, 0))
    assert "may as well be lost: look at both in a viewer first" in text


@pytest.mark.parametrize(
    ("shape", "affine", "found"),
    [
        (SHAPE, np.diag([-2.0, -2, 2, 1]) + moved(np.zeros((4, 4)), 5, 239, 0), "2 x 2 x 2 mm"),
        ((120, 120, 78), BRATS * [2, 2, 2, 1], "voxels of 2 x 2 x 2 mm instead of 1 x 1 x 1 mm"),
        ((200, 240, 155), rotated(moved(BRATS, 9, 0, 0), 5), "another field of view"),
    ],
)
def test_other_voxels_or_another_field_of_view_are_to_be_resampled(shape, affine, found):
    text = told(shape, affine)
    assert found in text
    assert "Register and resample all files of a case to one grid" in text
    assert "nearest neighbour" in text


def test_a_cropped_file_is_to_be_padded_and_not_interpolated():
    text = told((200, 240, 155), moved(BRATS, -20, 0, 0))
    assert "Pad or crop it by whole voxels" in text
    assert "Register" not in text


def test_without_shape_and_place_there_is_nothing_to_resample_by():
    assert "Go back to the file it was made from" in told((155, 240, 200), np.eye(4))
