"""Who is there: by a clock that the test moves."""

import pytest

from src.errors import SettingError
from src.rounds.presence import Presence
from tests.open_gate import OpenGate


class Clock:
    """Seconds, moved by hand."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def presence(clock, needed: int = 2) -> Presence:
    return Presence(OpenGate(), ["two", "one"], needed, 60.0, clock)


def test_a_site_is_gone_when_it_was_not_heard_for_longer_than_the_grace_time(clock):
    found = presence(clock)
    clock.now += 50
    found.heard("one")
    clock.now += 10.0
    assert found.present() == {"one", "two"}
    clock.now += 0.5
    assert found.gone() == {"two": 60.5}
    assert found.present() == {"one"}
    found.heard("two")
    assert found.gone() == {}


def test_a_revoked_site_is_gone_at_once(clock):
    found = presence(clock)
    found.heard("two")
    found.gate.revoked_sites = ["two"]
    assert found.gone() == {"two": 0.0}


def test_a_round_waits_for_those_that_are_gone_unless_it_can_end_without_them(clock):
    clock.now += 1
    for needed, can_end in ((2, False), (1, True)):
        found = presence(clock, needed)
        clock.now += 100
        found.heard("one")
        assert (found.too_few(3) is None) == can_end


def test_the_operator_is_told_for_whom_a_round_waits_and_why(clock):
    found = presence(clock)
    found.heard("one")
    clock.now += 61
    assert found.too_few(3) == (
        "Round 3 waits for one (last heard 61 s ago), two (never connected; waited 61 s). Allowed: "
        "60 s (aggregator.site_grace_s). Start the site again and then the aggregator, or set a "
        "straggler_handling_policy that goes on without it."
    )
    found.heard("one")
    found.gate.revoked_sites = ["two"]
    assert "for two (its certificate is revoked)." in str(found.too_few(3))


def test_nobody_is_missed_while_all_are_heard(clock):
    assert presence(clock).too_few(0) is None


def test_a_grace_time_of_nothing_is_refused(clock):
    with pytest.raises(SettingError, match="site_grace_s"):
        Presence(OpenGate(), ["one"], 1, 0.0, clock)
