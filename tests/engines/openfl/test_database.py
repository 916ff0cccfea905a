"""The checkpoint's database: what was written comes back, and nothing in it can execute."""

import os
import pickle
import sqlite3

import numpy as np
import pytest
from openfl.databases import PersistentTensorDB
from openfl.protocols.base_pb2 import NamedTensor
from openfl.utilities import TensorKey

from src.engines.openfl.database import MODELS, NEXT_MODELS, Database
from src.errors import Damaged, StaleState
from src.model_vector import TENSOR

KEY = TensorKey(TENSOR, "aggregator", 3, False, ("model",))
MODEL = np.linspace(-1, 1, 9, dtype=np.float32)


class Evil:
    """What OpenFL 1.9 would run when it loads it."""

    def __init__(self, mark) -> None:
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "tensor.db"


@pytest.fixture
def mark(tmp_path):
    return tmp_path / "executed"


def filled(path) -> Database:
    database = Database(path)
    database.finalize_round({KEY: MODEL}, {KEY._replace(round_number=4): -MODEL}, 3, 0.5)
    tensor = NamedTensor(name=TENSOR, data_bytes=b"content").SerializeToString()
    assert database.save_task_results("one", 4, "train", 5, [tensor, tensor]) == 1
    return database


def test_what_was_written_is_there_after_a_restart(path):
    filled(path).close()
    database = Database(path)
    ((key, model),) = database.load_tensors(MODELS).items()
    assert key == KEY
    assert (model == MODEL).all()
    assert model.dtype == np.float32
    ((following, _),) = database.load_tensors(NEXT_MODELS).items()
    assert following.round_number == 4
    assert database.get_round_and_best_score() == (3, 0.5)
    assert not database.is_task_table_empty()
    answer = database.get_task_result_by_id(1)
    assert answer is not None
    assert answer["collaborator_name"] == "one"
    assert (answer["round_number"], answer["task_name"], answer["data_size"]) == (4, "train", 5)
    assert [NamedTensor.FromString(t).data_bytes for t in answer["named_tensors"]] == [
        b"content"
    ] * 2
    assert database.get_task_result_by_id(2) is None


def test_the_end_of_a_round_forgets_its_answers_and_the_numbers_begin_anew(path):
    database = filled(path)
    database.finalize_round({}, {}, 4, None)
    assert database.is_task_table_empty()
    assert database.get_round_and_best_score() == (4, None)
    assert database.save_task_results("two", 5, "train", 5, []) == 1


def test_single_numbers_and_tokens_keep_their_kind(path):
    database = Database(path)
    token = np.frombuffer(b"TOK1" + bytes(32), np.uint8)
    kept = {KEY: np.array(0.25), KEY._replace(tensor_name="t"): token}
    database.finalize_round(kept, {}, 3, np.float64(0.1))
    found = database.load_tensors(MODELS)
    assert found[KEY].shape == ()
    assert found[KEY] == 0.25
    assert (found[KEY._replace(tensor_name="t")] == token).all()


def test_only_models_before_a_round_are_forgotten(path):
    database = filled(path)
    database.finalize_round({KEY._replace(round_number=4): MODEL}, {}, 4, None)
    database.forget_before(4)
    assert [key.round_number for key in database.load_tensors(MODELS)] == [4]


def test_openfls_own_database_runs_what_was_planted_in_it(path, mark):
    """The attack is real."""
    theirs = PersistentTensorDB(path)
    theirs.conn.execute(
        "INSERT INTO task_results VALUES (1, 'one', 0, 'train', 1, ?)",
        (pickle.dumps(Evil(mark)),),
    )
    theirs.get_task_result_by_id(1)
    assert mark.is_dir()


def test_openfls_own_database_is_refused_and_nothing_of_it_is_loaded(path, mark):
    theirs = PersistentTensorDB(path)
    theirs.save_task_results("one", 0, "train", 1, Evil(mark))
    theirs.close()
    with pytest.raises(StaleState, match=r"tensor\.db was not written by this release"):
        Database(path)
    assert not mark.exists()


PLANTED = {
    "a model": f"UPDATE {MODELS} SET content = ?",
    "the next model": f"UPDATE {NEXT_MODELS} SET content = ?",
    "an answer": "UPDATE answer_tensors SET content = ?",
    "a name": f"UPDATE {MODELS} SET name = ?",
    "tags": f"UPDATE {MODELS} SET tags = ?",
    "a round": "UPDATE answers SET round = ?",
    "the score": "UPDATE ended SET best = ?",
}


def read_all(path) -> None:
    database = Database(path)
    try:
        database.load_tensors(MODELS)
        database.load_tensors(NEXT_MODELS)
        database.get_round_and_best_score()
        database.get_task_result_by_id(1)
    finally:
        database.close()


@pytest.mark.parametrize("place", PLANTED)
def test_a_pickle_planted_in_our_own_database_is_damage_and_is_not_run(path, mark, place):
    filled(path).close()
    read_all(path)
    with sqlite3.connect(path) as planted:
        planted.execute(PLANTED[place], (pickle.dumps(Evil(mark)),))
    planted.close()
    with pytest.raises(Damaged, match=r"tensor\.db: a row is not as this kit wrote it"):
        read_all(path)
    assert not mark.exists()


def test_a_trigger_or_view_that_somebody_has_added_is_refused(path):
    filled(path).close()
    with sqlite3.connect(path) as planted:
        planted.execute("CREATE TRIGGER t AFTER INSERT ON answers BEGIN DELETE FROM tensors; END")
    planted.close()
    with pytest.raises(StaleState, match="not written by this release"):
        Database(path)


@pytest.mark.parametrize("content", [b"x" * 5000, b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_file_that_is_no_database_is_damage(path, content):
    path.write_bytes(content)
    with pytest.raises(Damaged, match=r"tensor\.db"):
        Database(path)
