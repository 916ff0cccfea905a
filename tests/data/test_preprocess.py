"""A case is cropped, z-scored and kept; what is predicted in the box returns to its place."""

import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from src.data.case import Case, read_case
from src.data.preprocess import MARGIN, PreparedCase, prepared, preprocess
from src.errors import CaseError

AFFINE = np.diag([-1.0, -1.0, 2.0, 1.0])


def case_of(images, regions=None) -> Case:
    return Case("c", "p", np.asarray(images, np.float32), regions, AFFINE)


@st.composite
def cases(draw) -> Case:
    """A random brain of random extent, to the grid's edge at times."""
    shape = tuple(draw(st.integers(1, 12)) for _ in range(3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    images = np.zeros((4, *shape), np.float32)
    low = [draw(st.integers(0, length - 1)) for length in shape]
    high = [draw(st.integers(start + 1, length)) for start, length in zip(low, shape, strict=True)]
    box = tuple(slice(*ends) for ends in zip(low, high, strict=True))
    images[(slice(None), *box)] = rng.integers(1, 100, images[(slice(None), *box)].shape)
    return case_of(images, rng.integers(0, 2, (3, *shape)).astype(np.uint8))


def test_z_scores_by_hand():
    images = np.zeros((4, 1, 1, 3))
    images[:, 0, 0, 1:] = [[2, 4], [10, 30], [1, 1], [0, 5]]
    scored = preprocess(case_of(images)).images[:, 0, 0]
    assert scored.tolist() == [[0, -1, 1], [0, -1, 1], [0, 0, 0], [0, 0, 0]]


def test_each_sequence_has_mean_0_and_deviation_1_in_its_own_brain(files):
    case, box = read_case(files), preprocess(read_case(files))
    for volume, scored in zip(case.images, box.images, strict=True):
        inside = scored[box_of(volume, box) != 0]
        assert inside.mean() == pytest.approx(0, abs=1e-6)
        assert inside.std() == pytest.approx(1, abs=1e-5)
        assert (scored[box_of(volume, box) == 0] == 0).all()


def box_of(array: np.ndarray, box: PreparedCase) -> np.ndarray:
    sides = zip(box.origin, box.images.shape[1:], strict=True)
    return array[(..., *(slice(start, start + length) for start, length in sides))]


def test_the_box_has_a_margin_where_the_grid_allows():
    images = np.zeros((4, 9, 9, 9))
    images[:, 1, 4, 4], images[3, 1, 5, 8] = 7, 7  # any sequence counts
    box = preprocess(case_of(images))
    assert MARGIN == 2
    assert box.origin == (0, 2, 2)
    assert box.images.shape == (4, 4, 6, 7)
    assert box.full_shape == (9, 9, 9)


@given(cases())
@settings(max_examples=60)
def test_restoring_is_exact_in_the_box_and_zero_around_it(case):
    box = preprocess(case)
    outside = np.ones(box.full_shape, bool)
    box_of(outside, box)[...] = False
    whole = box.restore(box.regions)
    assert whole.dtype == np.uint8
    assert whole.shape == case.regions.shape
    assert np.array_equal(box_of(whole, box), box_of(case.regions, box))
    assert not whole[:, outside].any()
    assert not case.images[:, outside].any()  # nothing of the brain was cut off


@given(cases())
@settings(max_examples=30)
def test_images_restored_show_the_brain_where_it_was(case):
    box = preprocess(case)
    flat = [len(np.unique(volume[volume != 0])) < 2 for volume in case.images]
    whole = box.restore(box.images)
    for volume, back, uniform in zip(case.images, whole, flat, strict=True):
        assert not back[volume == 0].any()
        assert uniform or np.corrcoef(back[volume != 0], volume[volume != 0])[0, 1] > 0.999


def test_an_array_of_another_shape_cannot_be_restored(files):
    box = preprocess(read_case(files))
    with pytest.raises(ValueError, match="expected an array"):
        box.restore(np.zeros((1, 1, 1)))


def test_geometry_travels_with_the_case(files):
    case = read_case(files)
    box = preprocess(case)
    assert (box.case_id, box.patient_id) == (case.case_id, case.patient_id)
    assert np.array_equal(box.affine, case.affine)
    assert box.spacing_mm == (1.0, 1.0, 1.0)
    assert box.left_right_axis == 0


def test_tumour_voxels_are_in_the_tumour_and_not_too_many():
    regions = np.zeros((3, 40, 40, 40), np.uint8)
    regions[0, 5:35, 5:35, 5:35] = 1
    box = preprocess(case_of(np.ones((4, 40, 40, 40)) * np.arange(1, 41), regions))
    assert 10_000 < len(box.tumour_voxels) <= 20_000
    assert box.regions[0][tuple(box.tumour_voxels.T)].all()
    assert replace(box, regions=None).tumour_voxels.shape == (0, 3)


def same(one: PreparedCase, other: PreparedCase) -> bool:
    return (
        np.array_equal(one.images, other.images)
        and np.array_equal(one.regions, other.regions)
        and np.array_equal(one.affine, other.affine)
        and (one.case_id, one.patient_id, one.full_shape, one.origin)
        == (other.case_id, other.patient_id, other.full_shape, other.origin)
    )


def test_the_cache_gives_what_preprocessing_gives_from_disk(files, tmp_path):
    kept = prepared(files, tmp_path / "cache")
    assert same(kept, preprocess(read_case(files)))
    assert isinstance(kept.images, np.memmap)
    assert isinstance(kept.regions, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        kept.images[0] = 1


def test_a_case_is_read_once(files, tmp_path):
    first = prepared(files, tmp_path / "cache")
    for path in files.paths:  # nothing readable any more, but as old and as large as before
        stat = path.stat()
        path.write_bytes(bytes(stat.st_size))
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert same(prepared(files, tmp_path / "cache"), first)


def test_a_changed_source_file_makes_a_new_entry(files, tmp_path):
    prepared(files, tmp_path / "cache")
    os.utime(files.label, ns=(1, 1))
    prepared(files, tmp_path / "cache")
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_the_same_files_under_another_kind_are_another_entry(files, tmp_path):
    prepared(files, tmp_path / "cache")
    prepared(replace(files, kind="fets2022"), tmp_path / "cache")
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_a_case_without_label_is_kept_without_regions(files, tmp_path):
    assert prepared(replace(files, label=None), tmp_path / "cache").regions is None


def cut(path):
    path.write_bytes(path.read_bytes()[:-1])


def other_shape(path):
    np.save(path, np.zeros((3, 2, 2, 2), np.uint8))


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("images.npy", cut),
        ("images.npy", lambda path: path.write_bytes(b"")),
        ("images.npy", lambda path: path.unlink()),
        ("regions.npy", cut),
        ("regions.npy", other_shape),
        ("regions.npy", lambda path: path.unlink()),
        ("case.json", cut),
        ("case.json", lambda path: path.write_text(json.dumps({"case_id": "c"}))),
        ("", shutil.rmtree),
        ("", lambda path: [file.unlink() for file in path.iterdir()]),
    ],
)
def test_a_damaged_entry_is_made_anew(files, tmp_path, name, damage):
    prepared(files, tmp_path / "cache")
    (entry,) = (tmp_path / "cache").iterdir()
    damage(entry / name)
    assert same(prepared(files, tmp_path / "cache"), preprocess(read_case(files)))
    assert list((tmp_path / "cache").iterdir()) == [entry]


def test_many_at_once_make_one_whole_entry(files, tmp_path):
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: prepared(files, tmp_path / "cache"), range(16)))
    assert all(same(case, found[0]) for case in found)
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_a_refused_case_and_a_failed_write_leave_nothing(files, tmp_path, monkeypatch):
    def full_disk(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr(np, "save", full_disk)
    with pytest.raises(OSError, match="No space"):
        prepared(files, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []
    files.label.write_bytes(b"")
    with pytest.raises(CaseError):
        prepared(files, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []
