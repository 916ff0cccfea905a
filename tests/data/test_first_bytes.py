"""Whatever lies under a volume's name is called what it is, with what to do about it."""

import gzip
import struct

import nibabel
import numpy as np
import pytest

from src.data.nifti import read_volume
from src.errors import VolumeError

VOLUME = nibabel.Nifti1Image(np.arange(60, dtype=np.int16).reshape(5, 4, 3), np.eye(4))
NIFTI_1 = VOLUME.to_bytes()
NIFTI_2 = nibabel.Nifti2Image(np.zeros((5, 4, 3), np.int16), np.eye(4)).to_bytes()
BIG_ENDIAN_2 = struct.pack(">i", 540) + b"n+2\0" + bytes(600)
PAIR = NIFTI_1[:344] + b"ni1\0" + NIFTI_1[348:]
ANALYZE = NIFTI_1[:344] + bytes(4) + NIFTI_1[348:]
MGH = nibabel.MGHImage(np.zeros((5, 4, 3), np.float32), np.eye(4)).to_bytes()
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
ANNEX = b"/annex/objects/SHA256E-s1--0.nii.gz\n"

CASES = [
    (b"", "an empty file. Copy it again"),
    (LFS, "a Git LFS pointer: its content was not fetched. `git lfs pull`"),
    (LFS.replace(b"github.com", b"example"), "a Git LFS pointer"),
    (ANNEX, "a git-annex pointer: its content was not fetched. `git annex get`"),
    (b"../../.git/annex/objects/Xx/SHA256E", "a git-annex pointer"),
    (b"outs:\n- md5: 0123456789abcdef0123456789abcdef\n", "a DVC pointer"),
    (b"<!DOCTYPE html><html>", "a web page"),
    (b"\xef\xbb\xbf\r\n<HTML>", "a web page"),
    (b'<?xml version="1.0"?><Error>AccessDenied', "a web page"),
    (b'{"message": "Not Found"}', "JSON: a sidecar, or a server's error message"),
    (bytes(128) + b"DICM" + bytes(400), "DICOM. Convert it to NIfTI-1 (dcm2niix)"),
    (b"\x08\0\5\0CS\n\0ISO_IR 100" + bytes(400), "DICOM"),
    (NIFTI_2, "NIfTI-2. Convert it to NIfTI-1 (nifti_tool"),
    (BIG_ENDIAN_2, "NIfTI-2"),
    (PAIR, "the header of a NIfTI pair"),
    (ANALYZE, "Analyze 7.5, which does not say left from right"),
    (b"PK\3\4" + bytes(400), "a zip archive. Unpack it"),
    (b"BZh91AY" + bytes(400), "bzip2"),
    (b"\xfd7zXZ\0" + bytes(400), "xz"),
    (b"\x28\xb5\x2f\xfd" + bytes(400), "zstd"),
    (b"7z\xbc\xaf\x27\x1c" + bytes(400), "a 7z or RAR archive"),
    (bytes(257).replace(b"\0", b"a") + b"ustar" + bytes(400), "a tar archive"),
    (b"NRRD0004\n", "NRRD"),
    (b"ObjectType = Image\nNDims = 3\n", "MetaImage"),
    (b"\x89HDF\r\n\x1a\n" + bytes(400), "HDF5 or MINC"),
    (MGH, "MGH, FreeSurfer's. Convert it to NIfTI-1 (mri_convert)"),
    (b"\x93NUMPY\1\0", "a NumPy array"),
    (b"\x89PNG\r\n\x1a\n", "a picture or a PDF"),
    (b"%PDF-1.7", "a picture or a PDF"),
    (b"\0\5\x16\7\0\2\0\0", "a Mac's AppleDouble file"),
    (b"Salted__" + bytes(400), "an encrypted file. Decrypt it"),
    (bytes(5000), "nothing but zeros"),
    (b"not an image at all", "another one, which begins with 'not an image at all'"),
]


@pytest.mark.parametrize(("raw", "found"), CASES)
@pytest.mark.parametrize("ending", ["a.nii", "a.nii.gz", "packed.nii.gz"])
def test_what_lies_there_is_named_and_never_called_damaged(tmp_path, raw, found, ending):
    path = tmp_path / ending
    path.write_bytes(gzip.compress(raw) if ending.startswith("packed") else raw)
    with pytest.raises(VolumeError) as error:
        read_volume(path)
    assert str(error.value).startswith("expected a NIfTI-1 file")
    assert found in str(error.value)
    assert "damaged" not in str(error.value)


def refusal(path, raw: bytes) -> str:
    path.write_bytes(raw)
    with pytest.raises(VolumeError) as error:
        read_volume(path)
    return str(error.value)


def test_a_name_that_lies_about_gzip_is_to_be_changed_and_nothing_else(tmp_path):
    plain = refusal(tmp_path / "a.nii.gz", NIFTI_1)
    assert "found NIfTI-1 without. Rename it to end in .nii, or pack it: `gzip`" in plain
    packed = refusal(tmp_path / "a.nii", gzip.compress(NIFTI_1))
    assert "found gzip. Rename it to end in .nii.gz" in packed
    twice = refusal(tmp_path / "b.nii.gz", gzip.compress(gzip.compress(NIFTI_1)))
    assert "packed twice: unpack it once" in twice


def test_a_link_into_an_annex_that_was_not_fetched_says_so(tmp_path):
    (tmp_path / "a.nii.gz").symlink_to("../.git/annex/objects/x/SHA256E-s1--0.nii.gz")
    with pytest.raises(VolumeError, match="git annex get"):
        read_volume(tmp_path / "a.nii.gz")


def test_what_nibabel_says_of_a_header_never_reaches_the_screen(tmp_path, capfd):
    for number, raw in enumerate((b"\0\1" * 400, NIFTI_2, NIFTI_1[:76] + bytes(16) + NIFTI_1[92:])):
        path = tmp_path / f"{number}.nii"
        path.write_bytes(raw)
        try:
            read_volume(path)
        except VolumeError:
            continue
        assert number == 2  # all pixdim 0, and the sform holds
    assert capfd.readouterr() == ("", "")
