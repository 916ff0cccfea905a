"""What a file is that should hold a NIfTI-1 volume and does not, by its first bytes."""

import re
import struct
from collections.abc import Callable

HEADER_BYTES = 348  # of NIfTI-1, and of Analyze 7.5
LOOK_BYTES = 1024  # that are enough for every kind below
MAGIC_AT = 344
GZIP = b"\x1f\x8b"
CONVERT = "Convert it to NIfTI-1"
FETCH = "its content was not fetched. "
ORIGINAL = "Take the file that it stands for."


def is_nifti1(head: bytes) -> bool:
    """Whether a single-file NIfTI-1 volume begins so."""
    return _sizeof_hdr(head) == HEADER_BYTES and head[MAGIC_AT : MAGIC_AT + 4] == b"n+1\0"


def what_it_is(head: bytes) -> str:
    """What begins with these bytes (up to LOOK_BYTES), and what to do with it: two sentences."""
    return next((text for fits, text in KINDS if fits(head)), None) or _unknown(head)


def _sizeof_hdr(head: bytes) -> int | None:
    """The header's size, as its first field says in one byte order or the other."""
    sizes = {struct.unpack(order + "i", head[:4])[0] for order in "<>"} if len(head) > 3 else set()
    return next((size for size in (HEADER_BYTES, 540) if size in sizes), None)


def _begins(*starts: bytes) -> Callable[[bytes], bool]:
    return lambda head: head.startswith(starts)


def _text(pattern: bytes) -> Callable[[bytes], bool]:
    found = re.compile(rb"(\xef\xbb\xbf)?\s*(" + pattern + rb")", re.IGNORECASE)
    return lambda head: bool(found.match(head))


def _dicom(head: bytes) -> bool:
    """With its preamble, or without it: then group 2 or 8 comes first, as archives once wrote."""
    return head[128:132] == b"DICM" or bool(re.match(rb"[\x02\x08]\0[\0-\x18]\0[A-Z]{2}", head))


def _of_size(size: int, magic: bytes = b"") -> Callable[[bytes], bool]:
    return lambda head: _sizeof_hdr(head) == size and head[MAGIC_AT:].startswith(magic)


def _mgh(head: bytes) -> bool:
    """Version 1, then three lengths and a number of frames, all big-endian."""
    if len(head) < 20:
        return False
    version, *lengths = struct.unpack(">5i", head[:20])
    return version == 1 and all(0 < length < 65536 for length in lengths)


# The first that fits counts.
KINDS: tuple[tuple[Callable[[bytes], bool], str], ...] = (
    (lambda head: not head, "an empty file. Copy it again from its source."),
    (
        _begins(GZIP),
        "gzip. Rename it to end in .nii.gz; where it ends so, it is packed twice: unpack it once.",
    ),
    (
        _text(rb"version https://(git-lfs|hawser)|oid sha256:"),
        f"a Git LFS pointer: {FETCH}`git lfs pull`.",
    ),
    (_text(rb"(\.\./|/)*(\.git/)?annex/objects/"), f"a git-annex pointer: {FETCH}`git annex get`."),
    (_text(rb"outs:|md5: [0-9a-f]{32}"), f"a DVC pointer: {FETCH}`dvc pull`."),
    (
        _text(rb"<!doctype|<html|<head|<body|<\?xml|<error|<!--"),
        "a web page (HTML or XML): a download that failed, or a login page. Download it again.",
    ),
    (_text(rb"[{\[]"), f"JSON: a sidecar, or a server's error message. {ORIGINAL}"),
    (_dicom, f"DICOM. {CONVERT} (dcm2niix)."),
    (_of_size(540), f"NIfTI-2. {CONVERT} (nifti_tool -convert2nii1)."),
    (
        _of_size(HEADER_BYTES, b"ni1\0"),
        f"the header of a NIfTI pair (.hdr and .img). {CONVERT} in one file.",
    ),
    (
        lambda head: _of_size(HEADER_BYTES)(head) and not is_nifti1(head),
        f"Analyze 7.5, which does not say left from right. {CONVERT} from the original.",
    ),
    (_begins(b"PK\3\4", b"PK\5\6"), "a zip archive. Unpack it."),
    (_begins(b"BZh"), "bzip2. Unpack it, or pack it with gzip instead."),
    (_begins(b"\xfd7zXZ\0"), "xz. Unpack it, or pack it with gzip instead."),
    (_begins(b"\x28\xb5\x2f\xfd"), "zstd. Unpack it, or pack it with gzip instead."),
    (_begins(b"7z\xbc\xaf\x27\x1c", b"Rar!"), "a 7z or RAR archive. Unpack it."),
    (lambda head: head[257:262] == b"ustar", "a tar archive. Unpack it."),
    (_begins(b"NRRD0"), f"NRRD. {CONVERT}."),
    (_text(rb"(ObjectType|NDims) *="), f"MetaImage. {CONVERT}."),
    (_begins(b"\x89HDF", b"CDF\1", b"CDF\2"), f"HDF5 or MINC. {CONVERT} (mnc2nii)."),
    (_mgh, f"MGH, FreeSurfer's. {CONVERT} (mri_convert)."),
    (_begins(b"\x93NUMPY"), f"a NumPy array, which has no place in space. {ORIGINAL}"),
    (_begins(b"MATLAB "), f"MATLAB data. {CONVERT}."),
    (
        _begins(b"\x89PNG", b"\xff\xd8\xff", b"II*\0", b"MM\0*", b"GIF8", b"BM", b"%PDF"),
        f"a picture or a PDF. {ORIGINAL}",
    ),
    (_begins(b"\0\5\x16\7", b"\0\5\x16\0"), f"a Mac's AppleDouble file, named ._…. {ORIGINAL}"),
    (
        _begins(b"Salted__", b"age-encryption", b"-----BEGIN", b"\x85\x02\x0c", b"\x8c\x0d\x04"),
        "an encrypted file. Decrypt it.",
    ),
    (
        lambda head: not head.strip(b"\0"),
        "nothing but zeros: a copy that was broken off. Copy it again from its source.",
    ),
)


def _unknown(head: bytes) -> str:
    """Quote what nobody knows."""
    start = head[:24]
    shown = repr(start.decode("ascii")) if start.isascii() else start.hex(" ")
    return f"another one, which begins with {shown}. Export it again as NIfTI-1."
