"""The rule (a door to OpenFL): `src.rounds.combine`, as OpenFL asks for it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from openfl.interface.aggregation_functions.core import AggregationFunction

from src.plan import parts
from src.plan.plan import build
from src.rounds.combine import next_model
from src.training.memory import Memory

MODEL = ("model",)  # the tags of the model that a round begins with


class _OneInstanceEach(type(AggregationFunction)):
    """OpenFL 1.9 makes one instance per class and drops the settings of any later one."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        return type.__call__(cls, *args, **kwargs)


class Rule(AggregationFunction, metaclass=_OneInstanceEach):
    """rule: a part, `{template: src.aggregation.weighted_mean.WeightedMean, settings: {}}`.

    state_path: where a rule with a state keeps it, beside the checkpoint.
    """

    def __init__(self, rule: Mapping[str, Any], state_path: str = "local_state/rule.npz") -> None:
        super().__init__()
        self.rule: parts.Rule = build(rule)
        self.memory = Memory(Path(state_path))

    def call(self, local_tensors, db_iterator, tensor_name, fl_round, tags) -> np.ndarray:
        """The next model. RunFailed: see `next_model`."""
        sent = {local.col_name: (local.tensor, local.weight) for local in local_tensors}
        wanted = (tensor_name, fl_round, MODEL)
        return next_model(
            self.rule,
            sent,
            where=f"Round {fl_round}, tensor {tensor_name!r}",
            round_number=int(fl_round),
            before=lambda: next(
                np.asarray(row["nparray"])
                for row in db_iterator
                if (row["tensor_name"], row["round"], row["tags"]) == wanted
            ),
            memory=self.memory,
        )
