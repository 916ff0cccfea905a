"""Held calls: how many, how long, and what lets them go."""

import threading

import pytest

from src.errors import SettingError
from src.rounds.held_calls import HeldCalls
from tests.patience import HANG_S, until


def held(
    calls: HeldCalls, answer: threading.Event, site: str = "one"
) -> tuple[threading.Thread, list]:
    """A site's call that is held until there is an answer."""
    found: list[bool] = []
    thread = threading.Thread(target=lambda: found.append(calls.hold(site, answer.is_set)))
    thread.start()
    return thread, found


def test_a_call_is_held_until_its_answer_is_there():
    calls, answer = HeldCalls(HANG_S, 1), threading.Event()
    thread, found = held(calls, answer)
    until(lambda: calls.full, "the call to be held")
    calls.release()  # something has changed, but not this
    assert thread.is_alive()
    answer.set()
    calls.release()
    thread.join(HANG_S)
    assert found == [True]
    assert not calls.full


def test_a_call_beyond_the_held_ones_is_answered_at_once():
    calls, answer = HeldCalls(HANG_S, 1), threading.Event()
    thread, _ = held(calls, answer)
    until(lambda: calls.full, "the call to be held")
    assert calls.hold("two", lambda: True) is False
    answer.set()
    calls.release()
    thread.join(HANG_S)


def test_a_second_call_of_a_site_ends_its_first():
    calls, answer = HeldCalls(HANG_S, 2), threading.Event()
    first, _ = held(calls, answer)
    until(lambda: calls.count == 1, "the first to be held")
    second, _ = held(calls, answer)
    first.join(HANG_S)
    assert not first.is_alive()
    until(lambda: calls.count == 1, "the second to be held alone")
    answer.set()
    calls.release()
    second.join(HANG_S)


def test_a_held_call_ends_after_its_time():
    assert HeldCalls(0.01, 1).hold("one", lambda: False) is True


@pytest.mark.parametrize(("wait_s", "most", "name"), [(0, 4, "idle"), (1, 7, "waiting")])
def test_settings_out_of_range_are_refused(wait_s, most, name):
    with pytest.raises(SettingError, match=name):
        HeldCalls(wait_s, most)
