"""Refusals in the audit log: bounded for each caller and minute, and never silently."""

import pytest

from src.trust.refusals import MOST_A_MINUTE, MOST_REMEMBERED, Refusals


@pytest.fixture
def refusals(clock):
    return Refusals(clock)


def lines(refusals, caller: str, *texts: str) -> list[str]:
    return [line for text in texts for line in refusals.lines(caller, text)]


def test_a_refusal_is_logged_once_however_often_its_caller_comes_back(refusals):
    assert lines(refusals, "mallory", *["no member"] * 9) == ["no member"]


def test_of_a_flood_a_minute_is_logged_and_the_rest_counted(refusals, clock):
    texts = [f"no {number}" for number in range(500)]
    assert lines(refusals, "mallory", *texts) == texts[:MOST_A_MINUTE]
    clock.pass_days(1 / 1440)
    assert lines(refusals, "mallory", "no 501") == [
        f"mallory: {500 - MOST_A_MINUTE} further refusals since 2026-11-23 12:00:00 UTC",
        "no 501",
    ]


def test_a_flood_does_not_hide_anothers_refusal(refusals):
    lines(refusals, "mallory", *(f"no {number}" for number in range(5000)))
    assert lines(refusals, "one", "revoked") == ["revoked"]


def test_what_was_left_out_is_told_at_the_latest_when_a_round_ends(refusals):
    lines(refusals, "mallory", *(f"no {number}" for number in range(MOST_A_MINUTE + 7)))
    assert [line.split(" since")[0] for line in refusals.left_out()] == [
        "mallory: 7 further refusals"
    ]
    assert list(refusals.left_out()) == []


def test_what_is_remembered_does_not_grow_without_end(refusals, clock):
    for minute in range(100):
        lines(refusals, "mallory", *(f"no {minute} {n}" for n in range(MOST_A_MINUTE)))
        clock.pass_days(1 / 1440)
    assert len(refusals._told) == MOST_REMEMBERED
