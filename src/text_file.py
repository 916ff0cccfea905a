"""Text files that people edit: decoded as UTF-8, or refused with what they are and what to do."""

import codecs
from pathlib import Path

from src.errors import InputError, WireError

MOST_BYTES = 16 << 20  # a table of 100,000 cases has a third of that
# The longer mark first: UTF-32's begins with UTF-16's.
MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
SAVE = "Save it as UTF-8 (Excel: as type `CSV UTF-8`; Windows editors: encoding `UTF-8`)."
WINDOWS = "cp1252"  # of Western Europe; what a German or English Windows calls ANSI


def utf8_text(content: bytes) -> str:
    """The text of a file's bytes; a byte order mark is no part of it.

    WireError: it is no UTF-8, or no text; the message says what it seems to be.
    """
    text, fault = decoded(content)
    if fault:
        raise WireError(fault)
    return text


def read_text(path: Path, *, most_bytes: int = MOST_BYTES) -> str:
    """The text of a file. InputError: longer than that, or no UTF-8; the message names the file."""
    try:
        return utf8_text(content_of(path, most_bytes))
    except WireError as error:
        raise InputError(f"{path}: {error}") from None


def content_of(path: Path, most_bytes: int = MOST_BYTES) -> bytes:
    """The bytes of a file that a person has made. InputError: it is longer than any such file."""
    with path.open("rb") as file:
        content = file.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise InputError(
            f"{path}: longer than {most_bytes >> 20} MB, as no text that is edited by hand. Is it "
            "the right file?"
        )
    return content


def decoded(content: bytes) -> tuple[str, str]:
    """(text, fault): the text as far as it can be guessed, so that all else in it can be examined.

    fault: why the file is not taken as it is; empty if it is UTF-8.
    """
    for mark, encoding in MARKS:
        if content.startswith(mark):
            text = content.decode(encoding, errors="replace")
            return text, f"this is {encoding.upper()} text, as its first bytes say. {SAVE}"
    if b"\0" in content:
        line = content[: content.index(b"\0")].count(b"\n") + 1
        text = content.replace(b"\0", b"").decode(WINDOWS, errors="replace")
        return text, f"NUL bytes, the first in line {line}: UTF-16, or no text at all. {SAVE}"
    try:
        return content.decode("utf-8-sig"), ""
    except UnicodeDecodeError as error:
        text = content.decode(WINDOWS, errors="replace")
        before = content[: error.start].decode("utf-8-sig", errors="replace")
        line = len(before.splitlines()) or 1
        word = (before.splitlines() or [""])[-1][-12:] + text_at(content, error.start)
        return text, (
            f"this is not UTF-8 (byte 0x{content[error.start]:02x} in line {line}, probably "
            f"{word!r} as Windows-1252 writes it). {SAVE}"
        )


def text_at(content: bytes, start: int) -> str:
    """A few letters from there on, as Windows-1252 has them."""
    return content[start : start + 8].decode(WINDOWS, errors="replace").split("\n")[0].rstrip()
