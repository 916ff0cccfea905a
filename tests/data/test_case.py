"""A case is read as it is, or refused with its name, the file, and what is wrong."""

from dataclasses import replace

import nibabel
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.data.case import SEQUENCES, left_right_axis, read_case
from src.data.kinds import KINDS
from src.data.layouts import find_cases
from src.errors import CaseError


def change(path, voxels=None, affine=None):
    """Overwrite a volume with what these functions make of its voxels and affine."""
    image = nibabel.load(path)
    old = np.asarray(image.dataobj).copy()
    new = old if voxels is None else voxels(old)
    nibabel.save(nibabel.Nifti1Image(new, affine if affine is not None else image.affine), path)


def with_voxel(value, dtype=np.float32):
    def put(voxels):
        voxels = voxels.astype(dtype)
        voxels[5, 5, 5] = value
        return voxels

    return put


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_case_of_every_kind_is_read_in_channel_order(write_case, tmp_path, kind):
    write_case(tmp_path, kind)
    files = find_cases(tmp_path, kind)[0]
    case = read_case(files)
    for channel, sequence in enumerate(SEQUENCES):
        stored = np.asarray(nibabel.load(files.sequences[sequence]).dataobj)
        assert np.array_equal(case.images[channel], stored)
    label = np.asarray(nibabel.load(files.label).dataobj)
    assert np.array_equal(case.regions[2], label == KINDS[kind].labels.enhancing)
    assert case.images.dtype == np.float32
    assert case.regions.dtype == np.uint8


def test_orientation_and_affine_are_kept(files):
    case = read_case(files)
    assert np.array_equal(case.affine, nibabel.load(files.sequences["t1"]).affine)
    assert case.spacing_mm == (1.0, 1.0, 1.0)


def test_spacing_is_that_of_each_axis(write_case, tmp_path):
    write_case(tmp_path, affine=np.diag([-0.5, 2.0, 3.0, 1.0]))
    assert read_case(find_cases(tmp_path, "brats2021")[0]).spacing_mm == (0.5, 2.0, 3.0)


def test_a_case_without_label_has_no_regions(files):
    assert read_case(replace(files, label=None)).regions is None


SHIFT = np.array([[-1.0, 0, 0, 0], [0, -1.0, 0, 239.5], [0, 0, 1.0, 0], [0, 0, 0, 1]])
TILT = np.array([[-1.0, 0.02, 0, 0], [-0.02, -1.0, 0, 239], [0, 0, 1.0, 0], [0, 0, 0, 1]])


@pytest.mark.parametrize(
    ("sequence", "damage", "message"),
    [
        (
            "t2",
            {"voxels": lambda v: v[:-1]},
            r"expected shape \(12, 11, 10\) as .*_t1.nii.gz, found \(11",
        ),
        ("t1ce", {"affine": SHIFT}, r"0.5 mm off: only the origin differs, by \(0, 0.5, 0\) mm"),
        ("flair", {"affine": TILT}, r"0.2\d* mm off: the same voxels, turned"),
        ("t1", {"voxels": with_voxel(np.nan)}, "1 NaN or infinite voxels"),
        ("flair", {"voxels": with_voxel(np.inf)}, "1 NaN or infinite voxels"),
        ("t2", {"voxels": np.zeros_like}, "found 0 in every voxel"),
        ("t2", {"voxels": lambda v: np.full_like(v, 7)}, "found 7 in every voxel"),
        ("t1", {"voxels": lambda v: np.stack([v, v], -1)}, "expected 3 axes"),
        (
            "label",
            {"voxels": with_voxel(3, np.uint8)},
            "found 0, 1, 2, 3, 4. In brats2021: 1 core, 2 oedema, 4 enhancing. Ask",
        ),
        (
            "label",
            {"voxels": with_voxel(0.5)},
            r"found 0, 0.5 \(voxels: 1\), 1, 2, 4. .* not round",
        ),
        ("label", {"voxels": lambda v: v[:, :-1]}, "expected shape"),
        ("label", {"affine": SHIFT}, "0.5 mm off"),
    ],
)
def test_a_bad_file_refuses_the_case_and_is_named(files, sequence, damage, message):
    path = files.label if sequence == "label" else files.sequences[sequence]
    change(path, **damage)
    with pytest.raises(CaseError, match=message) as error:
        read_case(files)
    assert str(error.value).startswith(f"Case {files.case_id}: {path}: expected")


def test_a_truncated_file_refuses_the_case(files):
    path = files.sequences["t2"]
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(CaseError, match=f"{path}: the file is damaged or cut short"):
        read_case(files)


def test_headers_that_differ_by_rounding_are_one_grid(files):
    affine = nibabel.load(files.sequences["t1"]).affine + 1e-4
    affine[3] = [0, 0, 0, 1]
    change(files.label, affine=affine)
    assert read_case(files).regions is not None


def test_labels_of_2023_under_2021_are_refused_without_a_hint_at_other_names(files):
    change(files.label, voxels=lambda label: np.where(label == 4, 3, label))
    with pytest.raises(CaseError, match=r"1 core, 2 oedema, 4 enhancing. Ask whoever") as error:
        read_case(files)
    assert "brats2023" not in str(error.value)


def test_a_kind_whose_cases_are_named_so_is_hinted_at_with_meanings(write_case, tmp_path):
    write_case(tmp_path, "brats2024")
    files = replace(find_cases(tmp_path, "brats2024")[0], kind="brats2023")
    with pytest.raises(CaseError, match=r"would fit brats2024 \(.*3 enhancing, 4 cavity") as error:
        read_case(files)
    assert "ucsf" not in str(error.value)


@pytest.mark.parametrize(
    ("axes", "expected"), [("LPS", 0), ("RAS", 0), ("ASR", 2), ("PIL", 2), ("SLA", 1)]
)
def test_the_left_right_axis_is_read_from_the_affine(axes, expected):
    orientation = nibabel.orientations.axcodes2ornt(tuple(axes))
    affine = nibabel.orientations.inv_ornt_aff(orientation, (10, 10, 10))
    assert left_right_axis(np.linalg.inv(affine)) == expected


@given(st.permutations([0, 1, 2]), st.lists(st.sampled_from([-1, 1]), min_size=3, max_size=3))
def test_flipping_the_left_right_axis_mirrors_the_patient(order, signs):
    """A voxel's mm position changes its left-right sign, and nothing else."""
    affine = np.eye(4)
    affine[:3, :3] = np.eye(3)[:, order] * signs
    affine[:3, 3] = -affine[:3, :3] @ [4.5, 4.5, 4.5]  # the array's middle is the patient's
    voxel = np.array([1, 2, 3, 1])
    flipped = voxel.copy()
    axis = left_right_axis(affine)
    flipped[axis] = 9 - flipped[axis]
    assert np.allclose(affine @ flipped, (affine @ voxel) * [-1, 1, 1, 1])


def test_an_oblique_scan_has_the_nearest_axis():
    angle = np.deg2rad(30)
    affine = np.eye(4)
    affine[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    assert left_right_axis(affine) == 0


# -- a case's sequences and their background -----------------------------------------------------


def refused(files, match) -> str:
    with pytest.raises(CaseError, match=match) as error:
        read_case(files)
    return str(error.value)


def replaced(files, sequence, by, make):
    source = np.asarray(nibabel.load(files.sequences[by]).dataobj).astype(np.float32)
    change(files.sequences[sequence], voxels=lambda _: make(source))


COPIES = [
    lambda v: v,
    lambda v: v * np.float32(1.7) + 3 * (v != 0),
    lambda v: -v,
    lambda v: np.round(v / 4),
    np.sqrt,
    lambda v: np.where(v != 0, v + np.random.default_rng(0).normal(0, 9, v.shape), 0),
]


@pytest.mark.parametrize("make", COPIES)
@pytest.mark.parametrize(("sequence", "by"), [("t1ce", "t1"), ("flair", "t2"), ("flair", "t1")])
def test_one_image_in_two_channels_is_refused_however_it_was_saved(files, make, sequence, by):
    replaced(files, sequence, by, make)
    text = refused(files, "found the same image as")
    assert files.sequences[by].name in text
    assert text.startswith(
        f"Case {files.case_id}: {files.sequences[sequence]}: expected {sequence}"
    )


def test_a_label_in_a_sequences_place_is_refused(files):
    files.sequences["t2"].write_bytes(files.label.read_bytes())
    refused(files, r"t2.nii.gz: expected an image, found only the values 0, 1, 2, 4: a label")


def z_scored(voxels):
    return ((voxels - voxels.mean()) / voxels.std()).astype(np.float32)


@pytest.mark.parametrize(
    ("make", "found"),
    [
        (z_scored, r"found -\d.* in 100% of the border's voxels: normalised over the whole"),
        (lambda v: v - 1024, "found -1024 in 100% of the border's voxels"),
        (lambda v: v + np.random.default_rng(0).normal(0, 1e-5, v.shape), "no 0 at the border"),
        (lambda v: np.random.default_rng(0).normal(99, 9, v.shape), "no 0 at the border"),
    ],
)
def test_a_background_that_is_not_0_is_refused(files, make, found):
    change(files.sequences["t2"], voxels=lambda v: make(v.astype(np.float32)).astype(np.float32))
    assert "_t2.nii.gz: expected a background of 0" in refused(files, found)


def test_nan_that_is_only_background_is_to_be_set_to_0(files):
    for path in files.sequences.values():
        change(path, voxels=lambda v: np.where(v == 0, np.nan, v).astype(np.float32))
    refused(files, r"outside the brain. Set NaN to 0 \(fslmaths -nan\)")


def test_nan_within_the_brain_is_not_to_be_set_to_0(files):
    for path in files.sequences.values():
        change(path, voxels=with_voxel(np.nan))  # as a mask's hole would be
    assert "Set NaN" not in refused(files, "1 of them NaN inside the brain")
