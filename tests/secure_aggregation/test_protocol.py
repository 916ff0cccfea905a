"""The states of a round: what may follow what, and that nothing else may."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.secure_aggregation import protocol
from src.secure_aggregation.protocol import ENDED, NEXT, OutOfOrder, Round, State

GATHERED, OPEN, SEALED, KEPT = State.GATHERED, State.OPEN, State.SEALED, State.KEPT
SUMMED, VOID = State.SUMMED, State.VOID

ALLOWED = {
    "a site that trains": [OPEN, SEALED, KEPT, SUMMED],
    "a site whose round comes to nothing": [OPEN, SEALED, KEPT, VOID],
    "a site that only announces": [OPEN, SUMMED],
    "a site that was restarted after its upload": [OPEN, KEPT, KEPT, SUMMED],
    "a site that slept over the round": [VOID],
    "the aggregator": [OPEN, KEPT, SUMMED],
}


@pytest.mark.parametrize("states", ALLOWED.values(), ids=ALLOWED)
def test_a_round_goes_through_its_states_to_the_next(states):
    at = Round()
    at.begin(0)
    for state in states:
        at.to(state)
    assert at.ended
    at.begin(1)
    assert (at.number, at.state) == (1, GATHERED)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([], SEALED),  # sealed before the model was verified
        ([OPEN, SEALED], SEALED),  # encrypted twice
        ([OPEN, SEALED], OPEN),  # opened again with an update in memory
        ([OPEN, SEALED], SUMMED),  # ended with an update that was not kept
        ([OPEN, SEALED, KEPT], SEALED),  # encrypted again after the upload was kept
        ([OPEN, SEALED, KEPT], OPEN),
        ([OPEN, KEPT, SUMMED], VOID),  # ended twice
        ([OPEN, KEPT, VOID], KEPT),
    ],
)
def test_a_step_out_of_order_is_refused_and_changes_nothing(before, after):
    at = Round(0, GATHERED)
    for state in before:
        at.to(state)
    now = at.state
    with pytest.raises(OutOfOrder, match=f"Round 0 is {now}, it cannot become {after}"):
        at.to(after)
    assert at.state is now


@pytest.mark.parametrize("state", [GATHERED, OPEN, SEALED, KEPT])
def test_no_round_begins_while_another_has_not_ended(state):
    with pytest.raises(OutOfOrder, match="round 4 cannot begin"):
        Round(3, state).begin(4)


@pytest.mark.parametrize("number", [2, 3])
def test_no_round_begins_twice_or_is_gone_back_to(number):
    with pytest.raises(OutOfOrder, match="cannot begin"):
        Round(3, SUMMED).begin(number)


def test_a_site_that_was_away_may_miss_rounds():
    at = Round(3, VOID)
    at.begin(7)
    assert at.number == 7


def test_what_an_act_needs_is_named():
    with pytest.raises(OutOfOrder, match=r"Round 2 is kept: to seal needs it open"):
        Round(2, KEPT).require("to seal", OPEN)
    Round(2, OPEN).require("to seal", OPEN, KEPT)


@given(st.lists(st.sampled_from(State), max_size=12))
def test_no_order_of_steps_seals_a_round_twice_or_goes_on_after_its_end(steps):
    at, sealed, ended = Round(0, GATHERED), 0, False
    for step in steps:
        try:
            at.to(step)
        except OutOfOrder:
            continue
        assert not ended
        sealed += step is SEALED
        ended = step in ENDED
    assert sealed <= 1


def test_every_state_is_drawn_and_has_its_arrows():
    assert set(State) == set(NEXT)
    assert [state for state in State if f" {state} " not in (protocol.__doc__ or "")] == []
