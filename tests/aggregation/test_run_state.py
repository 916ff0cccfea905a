"""A checkpoint is resumed by its own run and by no other."""

import pytest

from src.aggregation.run_state import RunState, StaleState


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "init.pbuf"
    path.write_bytes(b"weights")
    return path


@pytest.fixture
def state(tmp_path):
    return RunState(tmp_path / "local_state" / "tensor.db")


def checkpoint(state: RunState) -> None:
    state.database.write_bytes(b"a database")


def test_a_fresh_folder_is_claimed_and_not_resumed(state, model):
    assert state.claim("plan_1", model) is False
    assert state.mark.is_file()


def test_an_interrupted_run_is_resumed(state, model):
    state.claim("plan_1", model)
    checkpoint(state)
    assert state.claim("plan_1", model) is True


def test_an_ended_run_is_refused(state, model):
    state.claim("plan_1", model)
    checkpoint(state)
    state.end()
    with pytest.raises(StaleState, match="has ended"):
        state.claim("plan_1", model)


def test_another_plans_checkpoint_is_refused_and_left_alone(state, model):
    state.claim("plan_1", model)
    checkpoint(state)
    before = state.mark.read_text()
    with pytest.raises(StaleState, match="its federation is plan_1, this run's is plan_2"):
        state.claim("plan_2", model)
    assert state.mark.read_text() == before


def test_a_checkpoint_from_other_initial_weights_is_refused(state, model):
    state.claim("plan_1", model)
    checkpoint(state)
    model.write_bytes(b"other weights")
    with pytest.raises(StaleState, match="its initial_model_sha256 is"):
        state.claim("plan_1", model)


def test_a_checkpoint_of_unknown_origin_is_refused(state, model):
    state.database.parent.mkdir()
    checkpoint(state)
    with pytest.raises(StaleState, match="of an unknown run"):
        state.claim("plan_1", model)
