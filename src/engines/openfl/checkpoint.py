"""The aggregator's models on disk, in OpenFL's database and as `.pbuf` files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from openfl.protocols import utils

from src.files import write_atomically


def write_model(
    path: Path,
    tensors: Mapping[str, np.ndarray],
    message: bytes | None,
    round_number: int,
    pipeline: Any,
) -> None:
    """Write a model file. message: stands for the tensors, where they are tokens of it."""
    if message is not None:
        tensors = {name: np.frombuffer(message, np.uint8) for name in tensors}
    proto = utils.construct_model_proto(tensors, round_number, pipeline)
    write_atomically(path, proto.SerializeToString())


def forget_older_models(database: Any, round_number: int) -> None:
    """Keep one model in the checkpoint (OpenFL 1.9 adds one a round and deletes none)."""
    if database:
        with database.lock, database.conn as connection:
            connection.execute("DELETE FROM tensors WHERE round < ?", (round_number,))
