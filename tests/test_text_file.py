"""Text that people edit is UTF-8, or the refusal names the file and what it is instead."""

import pytest

from src.errors import InputError
from src.strict import WireError, yaml_value
from src.text_file import MOST_BYTES, read_text

UMLAUT = "note: Röntgen\n"


@pytest.mark.parametrize("content", [UMLAUT, "\ufeff" + UMLAUT])
def test_utf_8_is_read_with_and_without_its_mark(tmp_path, content):
    path = tmp_path / "a.txt"
    path.write_bytes(content.encode())
    assert read_text(path) == UMLAUT


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (UMLAUT.encode("cp1252"), r"not UTF-8 \(byte 0xf6 in line 1, .*'note: Röntgen'.*UTF-8"),
        (b"a: 1\n" + UMLAUT.encode("cp1252"), "byte 0xf6 in line 2"),
        (b"a: 1\r" + UMLAUT.encode("cp1252"), "byte 0xf6 in line 2"),
        (b"\x81\x8d", "byte 0x81 in line 1"),
        (UMLAUT.encode("utf-16"), "UTF-16 text, as its first bytes say. Save it as UTF-8"),
        (b"\xfe\xff" + UMLAUT.encode("utf-16-be"), "UTF-16 text"),
        (UMLAUT.encode("utf-32"), "UTF-32 text"),
        (UMLAUT.encode("utf-16-le"), "NUL bytes, the first in line 1: UTF-16, or no text at all"),
        (b"a: 1\nb: \0", "NUL bytes, the first in line 2"),
        (b"a" * (MOST_BYTES + 1), "longer than 16 MB"),
    ],
)
def test_what_is_no_utf_8_is_named_with_what_to_do(tmp_path, content, what):
    path = tmp_path / "a.txt"
    path.write_bytes(content)
    with pytest.raises(InputError, match=f"a.txt: .*{what}"):
        read_text(path)


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16", "utf-16-le"])
def test_yaml_is_refused_in_the_same_words(encoding):
    with pytest.raises(WireError, match="Save it as UTF-8"):
        yaml_value(UMLAUT.encode(encoding))
    assert yaml_value(("\ufeff" + UMLAUT.replace("\n", "\r\n")).encode()) == {"note": "Röntgen"}
