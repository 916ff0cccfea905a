"""The doors for JSON, YAML, zip and hex: one meaning a text, no exception but a WireError."""

import contextlib
import io
import json
import struct
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.errors import WireError
from src.strict import MOST_DEPTH, hex_bytes, json_value, yaml_value, zip_files

PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**62), 2**62)
    | st.floats(allow_nan=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
).filter(lambda value: "inf" not in repr(value))


def zipped(*files: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in files:
            archive.writestr(name, content)
    return buffer.getvalue()


@given(PLAIN)
def test_json_comes_back_as_it_was_written(value):
    try:
        text = json.dumps(value).encode()
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return  # half a surrogate pair: refused, see below
    assert json_value(text) == value


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "no JSON"),
        (b"\xff", "no JSON"),
        (b'{"a": 1, "a": 2}', "twice"),
        (b"NaN", "no number"),
        (b"[1e999]", "beyond"),
        (b"-Infinity", "no number"),
        (b"9" * 30, "64 bits"),
        (b"9" * 5000, "64 bits"),
        (b"18446744073709551616", "64 bits"),
        (b'"\\ud800"', "surrogate"),
        (b'{"\\udfff": 1}', "surrogate"),
        (b"[" * 100_000, "no JSON"),
        (b"[" * (MOST_DEPTH + 2) + b"]" * (MOST_DEPTH + 2), "deeper"),
        (b'{"a":' * 100_000, "no JSON"),
    ],
)
def test_json_with_two_meanings_or_none_is_refused(content, says):
    with pytest.raises(WireError, match=says):
        json_value(content)


def test_json_longer_than_allowed_is_not_looked_at():
    with pytest.raises(WireError, match="11 bytes of JSON, expected 10 at most"):
        json_value(b" " * 11, most_bytes=10)


@given(st.binary())
def test_any_bytes_are_a_value_of_json_or_refused(content):
    with contextlib.suppress(WireError):
        json_value(content)


def test_yaml_of_a_plan_is_read():
    assert yaml_value("a:\n  b: [1, 2.5, x, null, true]\n") == {
        "a": {"b": [1, 2.5, "x", None, True]}
    }
    assert yaml_value(b"") is None


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"\xff\xfe", "no YAML"),
        ("a: *b", "alias"),
        ("a: &x [1]\nb: [*x, *x]", "alias"),
        ("a: 1\na: 2", "twice"),
        ("a: !!python/object/apply:os.system [ls]", "constructor"),
        ("a: " + "9" * 5000, "no YAML"),
        ("a: 2026-13-45", "no YAML"),
        ("[" * 100_000, "no YAML"),
        ("? [1]\n: 2", "no YAML"),
        ("a: " + "[" * (MOST_DEPTH + 2) + "]" * (MOST_DEPTH + 2), "deeper"),
        ("a: \x00", "no YAML"),
        ("x" * ((1 << 20) + 1), "at most"),
        ("<<: 1", "no YAML"),
    ],
)
def test_yaml_that_is_more_than_plain_values_is_refused(content, says):
    with pytest.raises(WireError, match=says):
        yaml_value(content)


@given(st.binary() | st.text())
def test_any_bytes_are_a_value_of_yaml_or_refused(content):
    with contextlib.suppress(WireError):
        yaml_value(content)


def test_yaml_of_a_hundred_thousand_keys_is_read_in_linear_time():
    """A check for keys that stand twice which compared each with each would take minutes."""
    assert len(yaml_value("".join(f"{n}: 0\n" for n in range(60_000)))) == 60_000


def test_files_of_a_zip_come_back_by_name():
    files = (("a.txt", b"1"), ("client/b.crt", b"2" * 100))
    assert zip_files(zipped(*files), most_bytes=101) == dict(files)


def test_a_zip_may_have_folders():
    assert zip_files(zipped(("client/", b""), ("client/a", b"1")), most_bytes=9) == {
        "client/a": b"1"
    }


@pytest.mark.parametrize(
    "name",
    ["../a", "/a", "a/../b", "a//b", "./a", "a\\b", "keys/..", "a\nb", ".hidden", "a b", "ä"],
)
def test_a_name_that_is_no_plain_path_is_refused(name):
    with pytest.raises(WireError, match="no plain path"):
        zip_files(zipped((name, b"1")), most_bytes=9)


def test_a_zip_that_unpacks_to_more_than_allowed_is_refused():
    with pytest.raises(WireError, match="unpacks to more than 1000 bytes"):
        zip_files(zipped(("a", b"0" * 600), ("b", b"0" * 600)), most_bytes=1000)


def test_a_zip_bomb_whose_directory_lies_is_refused_by_what_it_unpacks_to():
    bomb = zipped(("a", b"0" * 10_000_000))
    small = bomb.replace(struct.pack("<I", 10_000_000), struct.pack("<I", 10))
    assert small != bomb
    with pytest.raises(WireError):
        zip_files(small, most_bytes=1000)


def test_a_zip_with_one_name_twice_is_refused():
    with pytest.warns(UserWarning, match="Duplicate"):
        content = zipped(("a", b"1"), ("a", b"2"))
    with pytest.raises(WireError, match="twice"):
        zip_files(content, most_bytes=9)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_zip_packed_in_another_way_is_refused(method):
    with pytest.raises(WireError, match="packed by method"):
        zip_files(zipped(("a", b"1"), method=method), most_bytes=9)


@given(st.data())
def test_a_damaged_zip_is_read_or_refused(data):
    content = bytearray(zipped(("a", b"12345"), ("b", b"6789")))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(WireError):
        zip_files(bytes(content), most_bytes=100)


@given(st.binary(max_size=40))
def test_hex_comes_back_as_it_was_written(content):
    assert hex_bytes(content.hex(), len(content)) == content


@pytest.mark.parametrize(
    "text", ["AB", "a", "abc", "a b", " ab", "ab\n", "0xab", "ａｂ", "", None, 1, b"ab", ["ab"]]
)
def test_hex_that_python_would_take_is_refused_unless_canonical(text):
    with pytest.raises(WireError, match="expected 2 digits"):
        hex_bytes(text, 1)
