"""Volumes are read whole or refused: no damage gets through, and no other error comes out."""

import gzip
import re
import struct
import tracemalloc

import nibabel
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from src.data import nifti
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
    except VolumeError:
        return
    assert np.array_equal(voxels, VOXELS)  # some flips unpack to the same bytes


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
        (content(np.stack([VOXELS] * 4, -1)), r"found shape \(5, 4, 3, 4\).*into its 4 volumes"),
        (content(VOXELS.astype(np.complex64)), "expected real numbers, found complex64"),
        (flat(content()), "affine that can be inverted"),
        (b"not an image at all" * 40, "expected a NIfTI-1 file"),
        (b"", "expected a NIfTI-1 file, found an empty file"),
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


# -- header first -------------------------------------------------------------------------------

DIM, DATATYPE, VOX_OFFSET, PIXDIM, QFORM_CODE = 40, 70, 108, 76, 252
SHEAR = np.array([[-1.0, 0, 0, 0], [0.3, -1, 0, 0], [0, 0, 2, 0], [0, 0, 0, 1]])


def patched(raw: bytes, at: int, form: str, *values) -> bytes:
    new = struct.pack(form, *values)
    return raw[:at] + new + raw[at + len(new) :]


def refused(path, raw: bytes) -> str:
    path.write_bytes(raw)
    with pytest.raises(VolumeError) as error:
        read_volume(path)
    return str(error.value)


def peak_bytes(path) -> int:
    """The most memory that reading a file takes, refused or not."""
    tracemalloc.start()
    try:
        read_volume(path)
    except VolumeError:
        pass
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return peak


def bomb(path, head: bytes, zeros: int) -> None:
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(head)
        for _ in range(zeros >> 20):
            file.write(bytes(1 << 20))


def test_a_small_file_that_unpacks_to_much_more_than_it_announces_costs_nothing(tmp_path):
    path = tmp_path / "a.nii.gz"
    bomb(path, content(), 256 << 20)
    assert path.stat().st_size < 3 << 20
    with pytest.raises(VolumeError, match=r"472 bytes for shape \(5, 4, 3\), found more"):
        read_volume(path)
    assert peak_bytes(path) < 4 << 20


@pytest.mark.parametrize("dim", [(3, 32767, 32767, 32767), (3, 1024, 1024, 1024)])
def test_dimensions_that_no_head_has_are_refused_before_anything_is_unpacked(tmp_path, dim):
    path = tmp_path / "a.nii.gz"
    bomb(path, patched(content(), DIM, "<4h", *dim), 64 << 20)
    with pytest.raises(VolumeError, match=r"at most 134217728 voxels.*Is that a head"):
        read_volume(path)
    assert peak_bytes(path) < 1 << 20


def test_more_than_gzip_can_hold_is_refused_before_anything_is_unpacked(tmp_path):
    path = tmp_path / "a.nii.gz"
    path.write_bytes(gzip.compress(patched(content(), DIM, "<4h", 3, 500, 500, 500)))
    with pytest.raises(VolumeError, match="expected 250000352 bytes"):
        read_volume(path)
    assert peak_bytes(path) < 1 << 20


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
@pytest.mark.parametrize("behind", [b"\0", b"x" * 5000])
def test_bytes_behind_the_last_voxel_are_refused(tmp_path, name, behind):
    raw = content() + behind
    text = refused(tmp_path / name, gzip.compress(raw) if name.endswith("gz") else raw)
    assert "found more" in text


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (patched(content(), DIM, "<4h", 3, -5, 4, 3), "expected 3 axes, found dim"),
        (patched(content(), DIM, "<4h", 3, 0, 4, 3), "expected 3 axes, found dim"),
        (patched(content(), DIM, "<4h", 0, 5, 4, 3), "expected 3 axes, found dim"),
        (patched(content(), DIM, "<4h", 9, 5, 4, 3), "expected 3 axes, found dim"),
        (patched(content(), DIM, "<4h", 2, 5, 12, 1), r"found shape \(5, 12\)"),
        (patched(content(), VOX_OFFSET, "<f", 1e9), "voxels from byte 352 on, found 1e\\+09"),
        (patched(content(), VOX_OFFSET, "<f", np.nan), "voxels from byte 352 on, found nan"),
        (patched(content(), VOX_OFFSET, "<f", 0), "voxels from byte 352 on, found 0"),
        (patched(content(), DATATYPE, "<h", 128), "expected real numbers, found colours"),
        (patched(content(), DATATYPE, "<h", 4616), "a type and scale of numbers, found"),
        (patched(content(), SLOPE, "<2f", 1, np.inf), "a type and scale of numbers, found"),
        (content(affine=SHEAR), "at right angles, found 73.3 degrees: a sheared sform"),
        (content()[:352], "expected 472 bytes for shape"),
        (content()[:350], "found the header alone"),
    ],
)
def test_a_header_that_cannot_be_is_refused_with_its_field(tmp_path, raw, message):
    assert re.search(message, refused(tmp_path / "a.nii", raw))


def test_pixdim_0_does_no_harm_where_the_sform_says_all_and_is_named_where_it_does_not(tmp_path):
    raw = patched(content(), PIXDIM, "<4f", 0, 0, 0, 0)
    (tmp_path / "a.nii").write_bytes(raw)
    assert np.array_equal(read_volume(tmp_path / "a.nii")[1], AFFINE)
    lost = patched(raw, QFORM_CODE, "<2h", 0, 0)
    assert "(pixdim [0.0, 0.0, 0.0])" in refused(tmp_path / "b.nii", lost)


def test_further_axes_of_length_1_are_dropped(tmp_path):
    (tmp_path / "a.nii").write_bytes(content(VOXELS[..., None, None]))
    assert np.array_equal(read_volume(tmp_path / "a.nii")[0], VOXELS)


def test_header_extensions_are_passed_over(tmp_path):
    image = nibabel.Nifti1Image(VOXELS, AFFINE)
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", b"scanned" * 99))
    nibabel.save(image, tmp_path / "a.nii.gz")
    assert np.array_equal(read_volume(tmp_path / "a.nii.gz")[0], VOXELS)


@pytest.mark.parametrize("dtype", ["<i2", ">i2", "u1", "<u2", "<i4", "<f4", ">f8", "<i8"])
@pytest.mark.parametrize("scale", [(1, 0), (0.37, -12), (1e30, 3), (0, 5), (np.nan, 0)])
def test_numbers_are_nibabel_s_to_the_last_bit_whatever_slab_they_are_in(
    tmp_path, monkeypatch, dtype, scale
):
    monkeypatch.setattr(nifti, "SLAB_BYTES", 1)
    image = nibabel.Nifti1Image(VOXELS.astype(dtype), AFFINE, dtype=dtype)
    image.header.set_data_dtype(dtype)
    at = "<" if image.header.endianness == "<" else ">"
    raw = patched(image.to_bytes(), SLOPE, at + "2f", *scale)
    (tmp_path / "a.nii").write_bytes(raw)
    expected = np.asarray(nibabel.Nifti1Image.from_bytes(raw).dataobj, np.float32)
    assert np.array_equal(read_volume(tmp_path / "a.nii")[0], expected)
