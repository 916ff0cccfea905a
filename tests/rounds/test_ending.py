"""How a run ends at the aggregator: told, gone, failed, overdue."""

import sqlite3

import pytest

from src.errors import Damaged, MaskReused, Refused
from src.refusal import marked
from src.rounds.ending import Ending
from src.rounds.presence import Presence
from tests.open_gate import OpenGate
from tests.rounds.test_presence import Clock


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def ending(clock):
    released = []
    presence = Presence(OpenGate(), ["one", "two"], 2, 60.0, clock)
    ending = Ending(presence, clock, lambda: released.append(True))
    ending.released = released
    return ending


def may_leave(ending: Ending, *told: str, over: bool = False) -> bool:
    return ending.may_leave(4, told, over=over, grace_s=15.0)


def test_the_process_stays_until_every_site_was_told(ending):
    assert not may_leave(ending)
    assert not may_leave(ending, "one", over=True)
    assert may_leave(ending, "one", "two", over=True)


def test_a_site_that_is_gone_at_the_end_does_not_keep_the_process(ending, clock):
    clock.now += 61
    ending.presence.heard("one")
    assert not may_leave(ending, over=True)
    assert may_leave(ending, "one", over=True)
    assert ending.failure is None


def test_a_round_that_cannot_end_any_more_fails_the_run(ending, clock):
    clock.now += 61
    ending.presence.heard("one")
    assert not may_leave(ending)
    assert "Round 4 waits for two" in ending.failure
    assert ending.released  # whoever waits for work hears of it
    assert may_leave(ending, "one")


def test_masks_that_were_used_twice_end_the_run_with_that_reason(ending):
    with pytest.raises(MaskReused), ending.keeping("one", 4):
        raise MaskReused(marked("one has sent two different updates for round 3."))
    assert ending.failure == "Round 4: one has sent two different updates for round 3."
    assert ending.released


def test_sites_get_some_time_to_hear_that_the_run_has_failed(ending, clock):
    ending.fail("The disk is full.")
    clock.now += 15
    assert not may_leave(ending)
    clock.now += 0.5
    assert may_leave(ending)


def test_the_first_reason_stays(ending):
    ending.fail("The disk is full.")
    ending.fail("And then this.")
    assert ending.failure == "The disk is full."


@pytest.mark.parametrize("fault", [OSError("no space"), sqlite3.OperationalError("disk is full")])
def test_what_cannot_be_kept_fails_the_run_and_says_what_to_do(ending, fault):
    with pytest.raises(type(fault)), ending.keeping("one", 4):
        raise fault
    assert ending.failure == (
        f"Round 4: what one sent cannot be kept: {fault}. Make room on this disk, then start the "
        "aggregator again: the round resumes."
    )


def test_damage_of_this_machines_own_files_fails_the_run(ending, clock, monkeypatch):
    def altered(site):
        raise Damaged("logs/audit.jsonl was altered.")

    monkeypatch.setattr(ending.presence.gate, "revoked", altered)
    assert not may_leave(ending)
    assert ending.failure == "Round 4: logs/audit.jsonl was altered."
    clock.now += 16
    assert may_leave(ending)


def test_a_refusal_of_what_a_site_sent_does_not_fail_the_run(ending):
    with pytest.raises(Refused), ending.keeping("one", 4):
        raise Refused("of another round")
    assert ending.failure is None
