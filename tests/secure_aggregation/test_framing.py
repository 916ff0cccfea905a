"""Sealed messages come back, and nothing else is taken for one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.errors import WireError
from src.secure_aggregation import framing

WHOLE = st.integers(-(2**63) + 1, 2**63 - 1)  # of more than 64 bits none is taken


@given(
    st.dictionaries(st.text(max_size=9), WHOLE | st.text(max_size=9), max_size=4),
    st.lists(st.binary(max_size=50), max_size=5),
)
def test_header_and_records_come_back(header, records):
    message = framing.pack(header, records)
    assert framing.is_sealed(message)
    assert {**framing.header(message), "records": 0} == {**header, "records": 0}
    assert framing.records(message, count=len(records), most_bytes=50) == records


def test_the_header_of_a_file_is_read_without_its_records(tmp_path):
    path = tmp_path / "message"
    path.write_bytes(framing.pack({"kind": "update"}, [b"x" * 100000]))
    assert framing.header_of(path)["kind"] == "update"


@given(st.binary(max_size=200), st.binary(max_size=60))
def test_foreign_bytes_are_refused_and_never_crash(foreign, tail):
    for message in (
        foreign,
        framing.MAGIC + foreign,
        framing.pack({"a": 1}, [b"1", b"2"]) + tail + b".",
    ):
        with pytest.raises(WireError):
            framing.records(message, count=2, most_bytes=10)


@pytest.mark.parametrize(
    ("count", "most", "reason"), [(3, 9, "ends after"), (1, 9, "after the last"), (2, 4, "claims")]
)
def test_records_must_be_as_many_and_as_long_as_expected(count, most, reason):
    message = framing.pack({}, [b"12345", b"67890"])
    with pytest.raises(WireError, match=reason):
        framing.records(message, count=count, most_bytes=most)


def test_a_flipped_bit_is_damage():
    message = bytearray(framing.pack({}, [b"12345"]))
    message[-2] ^= 1
    with pytest.raises(WireError, match="damaged on the way"):
        framing.records(bytes(message), count=1, most_bytes=9)


def test_a_header_that_claims_too_much_or_nests_too_deep_is_refused():
    with pytest.raises(WireError, match="a header of"):
        framing.header(framing.MAGIC + b"\xff\xff\xff\xff" + b"x" * 100)
    deep = b"[" * 100000
    with pytest.raises(WireError):
        framing.header(framing.MAGIC + len(deep).to_bytes(4, "little") + deep)
