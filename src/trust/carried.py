"""Zip files as they arrive: what desktops add is passed over, what was spoiled on the way is said.

People carry packages by mail and stick. Safari unpacks them, Finder packs them again with files of
its own and in one more folder; mail gateways rename, wrap or replace them. Every content is signed,
so a package that was only packed anew is as good as before. Of all else the sender is to know.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from src.errors import Refused, WireError
from src.files import bounded
from src.strict import zip_files
from src.trust import debris

ORIGINAL = (
    "If it was unpacked and packed again on its way, or changed by a mail gateway: have the "
    "original sent again, best on a stick or in an encrypted archive."
)
SHAPES = {  # how files begin that are sent instead of a zip file
    b"\x1f\x8b": "a gzip file",
    b"7z\xbc\xaf": "a 7-Zip archive",
    b"Rar!": "a RAR archive",
    b"%PDF": "a PDF",
    b"\xd0\xcf\x11\xe0": "an Outlook message (.msg); the package may be attached to it",
    b"\x78\x9f\x3e\x22": "a winmail.dat of Outlook's; the package is inside it",
    b"UEsDB": "a zip file in base64, as inside a mail: decode it (`base64 -d`)",
    b"begin 6": "a uuencoded file, as inside a mail: decode it (`uudecode`)",
    b"-----BEGIN PGP": "a file encrypted by PGP: decrypt it first",
    b"-----BEGIN": "one PEM file, not the package of them",
    b"version https://git-lfs": "a pointer of Git LFS; its content was not fetched",
}
MAIL = (b"Received:", b"Return-Path:", b"MIME-Version:", b"Content-Type:", b"From ", b"From:")
ZIP = b"PK\x03\x04"


def unpacked(path: Path, what: str, *, most_bytes: int) -> dict[str, bytes]:
    """A package's files, by their names in the package that was sent.

    what: what messages call such a package.
    Refused: it is none, is damaged, larger than that, or wrapped in something else.
    """
    try:
        content = bounded(path, most_bytes)
        found = zip_files(content, most_bytes=most_bytes, names=as_sent)
    except (WireError, OSError) as error:
        raise Refused(f"{path}: not {what}: {_shape(path) or error} {ORIGINAL}") from None
    if len(found) == 1 and next(iter(found.values())).startswith(ZIP):
        inner = next(iter(found))
        raise Refused(f"{path}: a zip file within a zip file. Unpack the outer, and take {inner}.")
    return found


def as_sent(names: Sequence[str]) -> Mapping[str, str]:
    """Names in the package that was sent, by those in the archive that has arrived.

    Debris is left out, and so is one folder around everything, however it is called.
    """
    kept = [name for name in names if not debris.of_an_archive(name)]
    top = {name.partition("/")[0] for name in kept}
    around = f"{next(iter(top))}/" if len(top) == 1 else ""
    if around in ("", "/", "./", "../") or not all(name.startswith(around) for name in kept):
        around = ""
    return {name: name.removeprefix(around) for name in kept}


def _shape(path: Path) -> str:
    """What a file that is no zip file looks like, as a sentence; "": it cannot be told."""
    try:
        with path.open("rb") as file:
            begin = file.read(512).lstrip(b"\xef\xbb\xbf \r\n\t")
    except OSError:
        return ""
    if begin.startswith(ZIP):
        return ""
    if not begin:
        return "The file is empty."
    words = [words for mark, words in SHAPES.items() if begin.startswith(mark)]
    if begin[:100].lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        words = ["a web page, as a portal shows instead of a download"]
    elif begin.startswith(MAIL):
        words = ["a saved mail; the package is attached to it"]
    elif begin[257:262] == b"ustar":
        words = ["a tar archive"]
    return f"It is {words[0]}." if words else ""
