"""Volumes are read whole or refused: no damage gets through, and no other error comes out."""

import gzip
import struct

import nibabel
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from src.data.nifti import read_volume
from src.errors import VolumeError

VOXELS = np.arange(5 * 4 * 3, dtype=np.int16).reshape(5, 4, 3)
AFFINE = np.diag([-1.0, -1, 2, 1])
REUSED = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
SLOPE, SFORM_ROW = 112, 280  # byte offsets in a NIfTI-1 header


def content(voxels=VOXELS, affine=AFFINE) -> bytes:
    return nibabel.Nifti1Image(voxels, affine).to_bytes()


def flat(raw: bytes) -> bytes:
    """The same file with all voxels in one plane."""
    return raw[:SFORM_ROW] + bytes(16) + raw[SFORM_ROW + 16 :]


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_voxels_and_affine_are_those_of_the_file(tmp_path, name):
    nibabel.save(nibabel.Nifti1Image(VOXELS, AFFINE), tmp_path / name)
    voxels, affine = read_volume(tmp_path / name)
    assert voxels.dtype == np.float32
    assert np.array_equal(voxels, VOXELS)
    assert np.array_equal(affine, AFFINE)


def test_the_header_s_scale_is_applied(tmp_path):
    raw = bytearray(content())
    raw[SLOPE : SLOPE + 8] = struct.pack("<ff", 2.0, 10.0)
    (tmp_path / "a.nii").write_bytes(raw)
    assert np.array_equal(read_volume(tmp_path / "a.nii")[0], VOXELS * 2 + 10)


@REUSED
@given(kept=st.floats(0, 0.999), packed=st.booleans())
def test_a_file_cut_short_anywhere_is_refused(tmp_path, kept, packed):
    raw = gzip.compress(content()) if packed else content()
    path = tmp_path / ("a.nii.gz" if packed else "a.nii")
    path.write_bytes(raw[: int(kept * len(raw))])
    with pytest.raises(VolumeError):
        read_volume(path)


@REUSED
@given(place=st.floats(0, 0.999), bit=st.integers(0, 7))
def test_one_flipped_bit_in_a_packed_file_never_changes_a_voxel(tmp_path, place, bit):
    raw = bytearray(gzip.compress(content(), mtime=0))
    raw[10 + int(place * (len(raw) - 10))] ^= 1 << bit  # behind gzip's own header
    path = tmp_path / "a.nii.gz"
    path.write_bytes(raw)
    try:
        voxels, _ = read_volume(path)
    except VolumeError as error:
        assert "Copy the file again" in str(error)  # noqa: PT017
    else:  # some flips unpack to the same bytes
        assert np.array_equal(voxels, VOXELS)


@REUSED
@given(place=st.integers(0, 351), byte=st.integers(0, 255))
def test_a_changed_header_gives_a_volume_or_a_volume_error(tmp_path, place, byte):
    raw = bytearray(content())
    raw[place] = byte
    path = tmp_path / "a.nii"
    path.write_bytes(raw)
    try:
        voxels, affine = read_volume(path)
    except VolumeError:
        return
    assert voxels.ndim == 3
    assert np.isfinite(affine).all()


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (content(VOXELS[..., None]), r"expected 3 axes, found shape \(5, 4, 3, 1\)"),
        (content(VOXELS.astype(np.complex64)), "expected real numbers, found complex64"),
        (flat(content()), "affine that can be inverted"),
        (b"not an image at all" * 40, "expected a NIfTI-1 file"),
        (b"", "expected a NIfTI-1 file"),
    ],
)
def test_what_is_no_volume_is_refused(tmp_path, raw, message):
    (tmp_path / "a.nii").write_bytes(raw)
    with pytest.raises(VolumeError, match=message):
        read_volume(tmp_path / "a.nii")


def test_missing_files_folders_and_broken_links_are_told_apart(tmp_path):
    (tmp_path / "a.nii").mkdir()
    with pytest.raises(VolumeError, match="found a folder"):
        read_volume(tmp_path / "a.nii")
    (tmp_path / "b.nii").symlink_to(tmp_path / "nowhere")
    with pytest.raises(VolumeError, match="a broken link"):
        read_volume(tmp_path / "b.nii")


def test_numbers_beyond_float32_come_as_infinite(tmp_path):
    (tmp_path / "a.nii").write_bytes(content(np.full((2, 2, 2), 1e300)))
    assert np.isinf(read_volume(tmp_path / "a.nii")[0]).all()
