"""The aggregator's checkpoint, as OpenFL asks for it, in a form that cannot execute.

OpenFL 1.9's (databases/persistent_db.py) stores pickles and loads them at the next start: whoever
can write to the file runs code there. Here a row holds names, numbers, and arrays as
`src.rounds.tensor_bytes`; what is anything else is `Damaged`, and a file that this kit has not made
is refused before a row of it is read. The file is not authenticated: who can write to it can put
another model of the same shape there, so its folder is the owner's alone.
"""

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError
from openfl.protocols.base_pb2 import NamedTensor
from openfl.utilities import TensorKey

from src.errors import Damaged, StaleState, WireError
from src.rounds import tensor_bytes

APPLICATION, VERSION = 0x676C696F, 1  # "glio": the marks that SQLite keeps in a file's header
MODELS, NEXT_MODELS = "tensors", "next_round_tensors"  # the open round's model, and the next
MODEL_TABLE = """CREATE TABLE {} (
    name TEXT NOT NULL, origin TEXT NOT NULL, round INTEGER NOT NULL, report INTEGER NOT NULL,
    tags TEXT NOT NULL, content BLOB NOT NULL)"""
SCHEMA = (
    MODEL_TABLE.format(MODELS),
    MODEL_TABLE.format(NEXT_MODELS),
    """CREATE TABLE answers (
    id INTEGER PRIMARY KEY, site TEXT NOT NULL, round INTEGER NOT NULL, task TEXT NOT NULL,
    cases INTEGER NOT NULL)""",
    """CREATE TABLE answer_tensors (
    answer INTEGER NOT NULL, place INTEGER NOT NULL, content BLOB NOT NULL)""",
    "CREATE TABLE ended (round INTEGER NOT NULL, best REAL)",
)

Tensors = Mapping[TensorKey, np.ndarray]


class Database:
    """What OpenFL's aggregator asks of its `PersistentTensorDB`, and no more.

    StaleState: the file is none of this kit's, or an older kit's.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = Lock()
        self._connection = sqlite3.connect(path, check_same_thread=False)
        with self._reading():
            self._connection.execute("PRAGMA trusted_schema = OFF")
            if self._value("SELECT count(*) FROM sqlite_master"):
                self._recognise()
            else:
                self._create()

    def _create(self) -> None:
        with self._connection as connection:
            for statement in SCHEMA:
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION}")
            connection.execute(f"PRAGMA user_version = {VERSION}")

    def _recognise(self) -> None:
        marks = self._value("PRAGMA application_id"), self._value("PRAGMA user_version")
        found = self._rows("SELECT sql FROM sqlite_master")
        if marks != (APPLICATION, VERSION) or {sql for (sql,) in found} != set(SCHEMA):
            raise StaleState(
                f"{self.path} was not written by this release of the kit, and nothing of it is "
                f"read. To start anew, move {self.path.parent}/ away; to go on with an older run, "
                "use the release that has begun it."
            )

    # -- what OpenFL writes --------------------------------------------------------------------

    def save_task_results(
        self, site: str, round_number: int, task: str, cases: int, named_tensors: Sequence[bytes]
    ) -> int:
        """Keep a site's answer to a task; its number."""
        with self._lock, self._connection as connection:
            number = connection.execute(
                "INSERT INTO answers (site, round, task, cases) VALUES (?, ?, ?, ?)",
                (site, round_number, task, cases),
            ).lastrowid
            assert number is not None
            connection.executemany(
                "INSERT INTO answer_tensors VALUES (?, ?, ?)",
                [(number, place, content) for place, content in enumerate(named_tensors)],
            )
        return number

    def finalize_round(
        self, models: Tensors, next_models: Tensors, round_number: int, best: float | None
    ) -> None:
        """The round has ended: its model, the next one, and no answers, all or nothing."""
        with self._lock, self._connection as connection:
            for table in (NEXT_MODELS, "answers", "answer_tensors", "ended"):
                connection.execute(f"DELETE FROM {table}")
            self._insert(connection, MODELS, models)
            self._insert(connection, NEXT_MODELS, next_models)
            score = None if best is None else float(best)
            connection.execute("INSERT INTO ended VALUES (?, ?)", (round_number, score))

    @staticmethod
    def _insert(connection: sqlite3.Connection, table: str, tensors: Tensors) -> None:
        rows = [
            (name, origin, number, int(report), json.dumps(tags), tensor_bytes.encode(array))
            for (name, origin, number, report, tags), array in tensors.items()
        ]
        connection.executemany(f"INSERT INTO {table} VALUES (?, ?, ?, ?, ?, ?)", rows)

    def forget_before(self, round_number: int) -> None:
        """Keep one model (OpenFL 1.9 adds one a round and deletes none)."""
        with self._lock, self._connection as connection:
            connection.execute(f"DELETE FROM {MODELS} WHERE round < ?", (round_number,))

    # -- what OpenFL reads, when an interrupted run goes on. Damaged: a row is not as written ----

    def get_tensors_table_name(self) -> str:
        """For `load_tensors`."""
        return MODELS

    def get_next_round_tensors_table_name(self) -> str:
        """For `load_tensors`."""
        return NEXT_MODELS

    def load_tensors(self, table: str) -> dict[TensorKey, np.ndarray]:
        """All models of a table."""
        with self._reading():
            return dict(
                self._model(row)
                for row in self._rows(
                    f"SELECT name, origin, round, report, tags, content FROM {table}"
                )
            )

    def _model(self, row: tuple) -> tuple[TensorKey, np.ndarray]:
        self._check(row, (str, str, int, int, str, bytes))
        name, origin, number, report, tags, content = row
        words = json.loads(tags)
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise self._damaged(f"tags {tags[:80]}")
        key = TensorKey(name, origin, number, bool(report), tuple(words))
        return key, tensor_bytes.decode(content)

    def get_round_and_best_score(self) -> tuple[int, float | None]:
        """(the last round that has ended, -1: none; the best score, None: none)."""
        with self._reading():
            rows = self._rows("SELECT round, best FROM ended")
        if not rows:
            return -1, None
        number, best = rows[0]
        self._check((number,), (int,))
        if best is not None:
            self._check((best,), (float,))
        return number, best

    def is_task_table_empty(self) -> bool:
        """Whether no site has answered in the open round."""
        with self._reading():
            return not self._value("SELECT count(*) FROM answers")

    def get_task_result_by_id(self, number: int) -> dict[str, Any] | None:
        """An answer as it was given to `save_task_results`; None: there is none of that number."""
        with self._reading():
            rows = self._rows("SELECT site, round, task, cases FROM answers WHERE id = ?", number)
            if not rows:
                return None
            self._check(rows[0], (str, int, str, int))
            tensors = self._rows(
                "SELECT content FROM answer_tensors WHERE answer = ? ORDER BY place", number
            )
            for row in tensors:
                self._check(row, (bytes,))
                NamedTensor.FromString(row[0])
        names = ("collaborator_name", "round_number", "task_name", "data_size")
        found: dict[str, Any] = dict(zip(names, rows[0], strict=True))
        return found | {"named_tensors": [content for (content,) in tensors]}

    def close(self) -> None:
        """Give the file back."""
        self._connection.close()

    # -- rows --------------------------------------------------------------------------------

    def _rows(self, query: str, *values: object) -> list[tuple]:
        return self._connection.execute(query, values).fetchall()

    def _value(self, query: str) -> Any:
        return self._rows(query)[0][0]

    def _check(self, row: tuple, kinds: tuple[type, ...]) -> None:
        for value, kind in zip(row, kinds, strict=True):
            if type(value) is not kind:
                raise self._damaged(f"{type(value).__name__} where {kind.__name__} stands")

    def _damaged(self, what: str) -> Damaged:
        return Damaged(
            f"{self.path}: a row is not as this kit wrote it ({what}). Restore the folder from its "
            "backup, or move it away and start the run anew."
        )

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            with self._lock:
                yield
        except sqlite3.OperationalError:  # the disk's fault, not the file's
            raise
        except sqlite3.DatabaseError as error:
            raise self._damaged(str(error)) from error
        except (WireError, ValueError, DecodeError, RecursionError) as error:
            raise self._damaged(str(error)) from error
