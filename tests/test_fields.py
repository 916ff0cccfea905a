"""Values of a mapping from outside: exact types and ranges, each refusal names its key."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.errors import WireError
from src.fields import Fields

FIELDS = Fields(
    {
        "name": "one",
        "digest": "ab" * 32,
        "round": 3,
        "none": None,
        "sites": ["one", "two"],
        "within": {"x": 1},
        "share": 0.5,
    }
)


def test_values_of_the_right_type_are_taken():
    assert FIELDS.text("name") == "one"
    assert FIELDS.hex("digest", 32) == "ab" * 32
    assert FIELDS.whole("round") == 3
    assert FIELDS.is_none("none")
    assert not FIELDS.is_none("name")
    assert not FIELDS.is_none("gone")
    assert FIELDS.texts("sites") == ["one", "two"]
    assert FIELDS.fields("within").whole("x") == 1
    assert (FIELDS.number("share"), FIELDS.number("round")) == (0.5, 3.0)
    assert list(FIELDS.fields("within").items()) == [("x", 1)]


@pytest.mark.parametrize("value", [True, 0.0, 1.0, "1", None, [1], -1, 2**31, 10**30])
def test_a_round_is_a_whole_number_in_its_range_and_nothing_like_it(value):
    with pytest.raises(WireError, match="round"):
        Fields({"round": value}).whole("round")


@pytest.mark.parametrize("value", [1, None, b"x", ["x"], "x" * 11])
def test_a_text_is_a_text_of_bounded_length(value):
    with pytest.raises(WireError, match="name"):
        Fields({"name": value}).text("name", most=10)


@pytest.mark.parametrize("value", ["AB" * 32, "ab" * 31, " " + "ab" * 32, 5, None])
def test_a_digest_is_canonical_hex_of_its_length(value):
    with pytest.raises(WireError, match="digest"):
        Fields({"digest": value}).hex("digest", 32)


@pytest.mark.parametrize("value", [{"a": 1}, "ab", None, ["a", 1], ["a"] * 4])
def test_a_list_of_texts_holds_texts_alone_and_not_too_many(value):
    with pytest.raises(WireError, match="sites"):
        Fields({"sites": value}).texts("sites", most=3)


@pytest.mark.parametrize("value", [None, [], "x", 5, True])
def test_what_is_no_mapping_is_refused(value):
    with pytest.raises(WireError, match="expected a mapping"):
        Fields(value)


def test_a_missing_and_an_unknown_key_are_named():
    with pytest.raises(WireError, match="gone is missing"):
        FIELDS.text("gone")
    with pytest.raises(WireError, match="unknown key 'b'"):
        Fields({"a": 1, "b": 2}).only("a")


@given(st.dictionaries(st.text() | st.integers() | st.none(), st.none() | st.text() | st.floats()))
def test_no_mapping_makes_another_error_than_a_wire_error(mapping):
    found = Fields(mapping)
    for take in (
        lambda: found.only("a"),
        lambda: found.text("a"),
        lambda: found.number("a"),
        lambda: list(found.items()),
    ):
        with contextlib.suppress(WireError):
            take()
