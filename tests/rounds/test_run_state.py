"""A checkpoint is resumed by its own run and by no other."""

import pytest

from src.errors import StaleState
from src.rounds.run_state import RunState


@pytest.fixture
def state(tmp_path):
    return RunState(tmp_path / "local_state" / "tensor.db")


def checkpoint(state: RunState) -> None:
    state.database.write_bytes(b"a database")


def test_a_fresh_folder_is_claimed_and_not_resumed(state):
    assert state.claim("digest_1") is False
    assert state.mark.is_file()


def test_an_interrupted_run_is_resumed(state):
    state.claim("digest_1")
    checkpoint(state)
    assert state.claim("digest_1") is True


def test_an_ended_run_is_refused(state):
    state.claim("digest_1")
    checkpoint(state)
    state.end()
    with pytest.raises(StaleState, match="has ended"):
        state.claim("digest_1")


def test_another_bundles_checkpoint_is_refused_and_left_alone(state):
    state.claim("digest_1")
    checkpoint(state)
    before = state.mark.read_text()
    with pytest.raises(StaleState, match="its bundle is digest_1, this run's is digest_2"):
        state.claim("digest_2")
    assert state.mark.read_text() == before


def test_a_checkpoint_of_unknown_origin_is_refused(state):
    state.database.parent.mkdir()
    checkpoint(state)
    with pytest.raises(StaleState, match="of an unknown run"):
        state.claim("digest_1")
