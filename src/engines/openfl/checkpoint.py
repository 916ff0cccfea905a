"""The aggregator's checkpoint (a door to OpenFL): whose run it is, what is kept, how it goes on.

What is wrong in OpenFL 1.9 (component/aggregator/aggregator.py): another run's database is resumed
without a word, and by unpickling it (`_recover`); the final aggregate is never saved
(`_end_of_round_check`); a model is added to the database in every round, and none removed.
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from openfl.component import Aggregator as OpenFLAggregator
from openfl.protocols import utils

from src.engines.openfl.database import Database
from src.files import write_atomically
from src.rounds.run_state import RunState

logger = logging.getLogger(__name__)


class Checkpointed(OpenFLAggregator):
    """OpenFL's aggregator with a checkpoint that is one run's alone.

    Its maker calls `claim`, and then `go_on`: OpenFL would do both at once, before it is known
    whether the run may go on.
    """

    def __init__(
        self,
        *,
        persist_checkpoint: bool,
        persistent_db_path: str,
        final_state_path: str,
        **openfl_settings: Any,
    ) -> None:
        super().__init__(persist_checkpoint=False, **openfl_settings)
        self.final_state_path = Path(final_state_path)
        self._database = Path(persistent_db_path)
        self._state = RunState(self._database)
        self._persist = persist_checkpoint and not self.assigner.is_task_group_evaluation()

    def claim(self, bundle: str) -> bool:
        """Whether an interrupted run of this bundle will go on. StaleState: see `RunState`."""
        return self._persist and self._state.claim(bundle)

    def go_on(self) -> None:
        """Begin, or go on where the checkpoint is. StaleState, Damaged: see `Database`."""
        if self._persist:
            self.persistent_db = Database(self._database)
            self._recover()
            logger.info("Checkpoint: %s", self._database)

    def forget_older_models(self, round_number: int) -> None:
        """Keep one model in the checkpoint."""
        if self.persistent_db:
            self.persistent_db.forget_before(round_number)

    def ended_for_good(self) -> None:
        """The run is over: its checkpoint will not be resumed."""
        if self.persistent_db:
            self._state.end()

    def save_final_model(self, round_number: int, message: bytes | None) -> None:
        """Write the model after the last training round.

        message: stands for the model, where the database holds a token of it.
        """
        tensors = self.tensor_db.get_tensors_by_round_and_tags(round_number, ("model",))
        write_model(
            self.final_state_path,
            {key.tensor_name: tensor for key, tensor in tensors.items()},
            message,
            round_number,
            self.compression_pipeline,
        )
        logger.info("Final model: %s", self.final_state_path)


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
