"""An image is known again however it is stored, and nobody else's is taken for it."""

import gzip
import hashlib
from itertools import permutations, product
from pathlib import Path

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from src.data import voxel_identity
from src.data.case import SEQUENCES
from src.data.layouts import find_cases, read_dataset_yaml
from src.data.nifti import read_volume
from src.data.voxel_identity import SUBSETS, known_by, prints, voxel_marks
from tests.data.conftest import AFFINE

FORMAT_1 = "edf468c932fefb061aef1e615ac601f7eadc15cf67a1f3af6f395bf72499bcb1"
seeds = st.integers(0, 2**32 - 1)


def head(seed: int, shape=(40, 48, 36)) -> np.ndarray:
    """A skull-stripped volume: smooth, of 0 to about 1000, and 0 around it."""
    rng = np.random.default_rng(seed)
    waves = [rng.normal(size=(5, n)) for n in shape]
    smooth = np.einsum("ki,kj,kl->ijl", *(np.cumsum(wave, axis=1) / 9 for wave in waves))
    grid = np.indices(shape) - np.array(shape).reshape(3, 1, 1, 1) / 2
    inside = (np.square(grid / (np.array(shape).reshape(3, 1, 1, 1) * 0.4)).sum(0)) < 1
    values = 500 + 120 * smooth / smooth.std() + 20 * rng.normal(size=shape)
    return np.where(inside, np.clip(values, 1, None), 0).astype(np.float32)


def stored(volume, affine, order, flips):
    """The same image with its axes in another order and direction, and the affine that says so."""
    turned = np.transpose(volume, order)
    matrix = np.zeros((4, 4))
    matrix[3, 3] = 1
    for new, old in enumerate(order):
        matrix[old, new] = 1
    for axis in range(3):
        if flips[axis]:
            turned = np.flip(turned, axis)
            flip = np.eye(4)
            flip[axis, axis], flip[axis, 3] = -1, turned.shape[axis] - 1
            matrix = matrix @ flip
    return turned, affine @ matrix


def shared(one: list[str], other: list[str]) -> int:
    return len(set(one) & set(other))


@pytest.mark.parametrize("order", permutations(range(3)))
@pytest.mark.parametrize("flips", product([False, True], repeat=3))
def test_axes_stored_in_any_order_and_direction_change_no_mark(order, flips):
    volume = head(1)
    assert voxel_marks(*stored(volume, AFFINE, order, flips)) == voxel_marks(volume, AFFINE)


@settings(deadline=None, max_examples=40)
@given(seeds, st.floats(1e-3, 1e3), st.floats(-10, 10), st.booleans())
def test_values_scaled_and_shifted_change_hardly_a_mark(seed, scale, shift, negative):
    volume = head(seed)
    changed = (volume / 1000 + np.float32(shift)) * np.float32(-scale if negative else scale)
    assert shared(voxel_marks(volume, AFFINE), voxel_marks(changed, AFFINE)) >= 2 * SUBSETS - 2


@settings(deadline=None, max_examples=40)
@given(seeds, st.sampled_from([12, 14, 16]), st.floats(-0.5, 0.5))
def test_rounding_to_twelve_bits_or_more_leaves_marks(seed, bits, shift):
    volume = head(seed)
    levels = 2**bits - 1
    low, high = volume.min(), volume.max()
    kept = np.round((volume - low) / (high - low) * levels + shift)  # as a scaled integer
    assert shared(voxel_marks(volume, AFFINE), voxel_marks(kept, AFFINE)) >= 1


@settings(deadline=None, max_examples=60)
@given(seeds, seeds)
def test_two_images_share_nothing(one, other):
    expected = 2 * SUBSETS if one == other else 0
    assert shared(voxel_marks(head(one), AFFINE), voxel_marks(head(other), AFFINE)) == expected


def test_patients_of_phantom_sites_share_nothing(phantom_sites, tmp_path):
    known = []
    for folder in phantom_sites.values():
        for files in find_cases(folder, read_dataset_yaml(folder).kind):
            known.append(set(known_by(files, tmp_path)))
    assert len(known) == 12
    assert {len(marks) for marks in known} == {1 + len(SEQUENCES) * 2 * SUBSETS}
    assert not any(one & other for i, one in enumerate(known) for other in known[:i])


def test_a_flat_image_has_no_mark():
    assert voxel_marks(np.full((20, 20, 20), 7.0, np.float32), AFFINE) == []


def within_the_brain(volume):
    return np.where(volume != 0, volume * np.float32(1.7) + 100, 0)


def z_scored(volume):
    brain = volume != 0
    return np.where(brain, (volume - volume[brain].mean()) / volume[brain].std(), 0)


def eight_bits(volume):
    return np.round(volume / volume.max() * 255)


def padded(volume):
    return np.pad(volume, ((3, 1), (0, 9), (2, 2)))


def cut(volume):
    return volume[1:-2, 2:, :-1]  # background only


@pytest.mark.parametrize("change", [within_the_brain, z_scored, eight_bits, padded, cut])
@settings(deadline=None, max_examples=10)
@given(seed=seeds)
def test_what_preparing_a_brain_does_leaves_marks(change, seed):
    volume = head(seed)
    marks = voxel_marks(change(volume).astype(np.float32), AFFINE)
    assert shared(marks, voxel_marks(volume, AFFINE)) >= 1


def test_what_is_not_claimed_escapes():
    """Cropping into the brain, another grid, a map that is not linear: said in the text."""
    volume = head(3)
    marks = voxel_marks(volume, AFFINE)
    assert not shared(marks, voxel_marks(volume[12:], AFFINE))
    assert not shared(marks, voxel_marks(volume[::2, ::2, ::2], AFFINE))
    assert not shared(marks, voxel_marks(np.sqrt(volume), AFFINE))


def test_marks_of_format_1_are_those_of_ledgers_from_before():
    """Computed at commit a917c5c from this volume, before there was a format 2."""
    i, j, k = np.indices((20, 22, 24)).astype(np.float32)
    volume = np.where((i - 9) ** 2 + (j - 11) ** 2 + (k - 12) ** 2 < 70, i * j + 3 * k, 0)
    marks = "\n".join(voxel_marks(volume.astype(np.float32), AFFINE)[:SUBSETS])
    assert hashlib.sha256(marks.encode()).hexdigest() == FORMAT_1


@settings(deadline=None, max_examples=20)
@given(seeds, st.integers(0, 2**16))
def test_prints_tell_one_scan_from_another_even_where_marks_do_not(seed, other):
    volume = head(seed)
    one = prints(volume, AFFINE)
    noise = np.random.default_rng(other).normal(size=volume.shape) * 0.02 * volume.std()
    for changed in (np.where(volume, volume + noise, 0), -2 * volume + 7):
        assert abs(one @ prints(changed.astype(np.float32), AFFINE)) > 0.995
    if seed != other:
        assert abs(one @ prints(head(other), AFFINE)) < 0.95
    assert not prints(np.zeros_like(volume), AFFINE).any()


# -- files ------------------------------------------------------------------------------------


def renamed(path: Path, to: Path) -> None:
    to.write_bytes(path.read_bytes())


def zipped_anew(path: Path, to: Path) -> None:
    to.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()), 1, mtime=7))


def turned(path: Path, to: Path) -> None:
    volume, affine = read_volume(path)
    nibabel.save(nibabel.Nifti1Image(*stored(volume, affine, (2, 0, 1), (True, False, True))), to)


def as_float(path: Path, to: Path) -> None:
    volume, affine = read_volume(path)
    nibabel.save(nibabel.Nifti1Image(volume * np.float32(0.37) - 12, affine), to)


def as_scaled_integers(path: Path, to: Path) -> None:
    volume, affine = read_volume(path)
    image = nibabel.Nifti1Image(volume * np.float32(1.7) + 3, affine)
    image.set_data_dtype(np.int16)  # with slope and intercept in the header
    nibabel.save(image, to)


@pytest.mark.parametrize("change", [renamed, zipped_anew, turned, as_float, as_scaled_integers])
def test_a_patients_files_saved_anew_are_known_again(phantom_sites, tmp_path, change):
    folder = phantom_sites["one"]
    files = find_cases(folder, read_dataset_yaml(folder).kind)[0]
    sequences = {}
    for sequence, path in files.sequences.items():
        sequences[sequence] = tmp_path / f"x_{sequence}.nii.gz"
        change(path, sequences[sequence])
    anew = type(files)("x", "x", files.kind, sequences, None)
    before, after = known_by(files, tmp_path / "c1"), known_by(anew, tmp_path / "c2")
    exact = change in (renamed, zipped_anew, turned)
    assert shared(before, after) >= (len(SEQUENCES) * 2 * SUBSETS if exact else 40)
    assert (before[0] == after[0]) == (change is renamed)  # the T1 file's own hash


def test_marks_are_computed_once_and_anew_when_damaged(phantom_sites, tmp_path, monkeypatch):
    folder = phantom_sites["one"]
    files = find_cases(folder, read_dataset_yaml(folder).kind)[0]
    read = []
    monkeypatch.setattr(
        voxel_identity, "read_volume", lambda path: read.append(path) or read_volume(path)
    )
    first = known_by(files, tmp_path)
    assert known_by(files, tmp_path) == first
    assert len(read) == len(SEQUENCES)
    (entry,) = tmp_path.glob("*.json")
    assert entry.stat().st_mode & 0o777 == 0o600
    entry.write_text("[")
    assert known_by(files, tmp_path) == first
    assert len(read) == 2 * len(SEQUENCES)
