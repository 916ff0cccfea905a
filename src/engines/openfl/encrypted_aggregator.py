"""The aggregator of an encrypted run (a door to OpenFL): it adds what it cannot read.

OpenFL's database holds a token for each update; the updates lie in files below local_state.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from src.engines.openfl.aggregator import Aggregator
from src.engines.openfl.model_file import read_plain_model
from src.plan.parts import Declares
from src.rounds.aggregator import AggregatorRounds
from src.rounds.encrypted_aggregator import EncryptedAggregatorRounds
from src.rounds.round_log import RoundLog
from src.secure_aggregation.server import EncryptedRounds


class EncryptedAggregator(Aggregator):
    """Settings as of `Aggregator`; compression_pipeline must be `EncryptedPipeline`."""

    DECLARES = Declares(encrypted=True)

    def _rounds(
        self, log: RoundLog, openfl_settings: Mapping[str, Any], *, resumed: bool
    ) -> AggregatorRounds:
        values = read_plain_model(Path(openfl_settings["init_state_path"])).size
        encryption = openfl_settings["compression_pipeline"].encryption
        folder = self.local_state / ("sealed" if self.schedule.rounds else "sealed-evaluation")
        encrypted = EncryptedRounds(encryption, self.gate, values, folder)
        return EncryptedAggregatorRounds(
            self.gate, self.presence, self.schedule, log, encrypted, resumed=resumed
        )
