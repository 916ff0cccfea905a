"""Two clocks: apart in either direction, by more than five minutes, and no more is believed."""

from datetime import UTC, datetime, timedelta

import pytest

from src.rounds import clocks

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("apart", "words"),
    [
        (timedelta(minutes=6), "this clock is 0:06:00 ahead of the aggregator's"),
        (timedelta(days=-1), "this clock is 1 day, 0:00:00 behind the aggregator's"),
        (timedelta(minutes=5), None),
        (timedelta(minutes=-5), None),
    ],
)
def test_clocks_that_are_apart_are_told(apart, words):
    found = clocks.difference([clocks.told(NOW)], NOW + apart)
    assert found is None if words is None else words in str(found)


@pytest.mark.parametrize("value", ["", "yesterday", "2026-11-26T12:00:00", b"\xff", "9" * 5000])
def test_what_is_no_time_is_not_compared(value):
    assert clocks.difference([(clocks.METADATA, value)], NOW) is None
    assert clocks.difference([], NOW) is None
