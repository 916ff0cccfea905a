"""The rule (a door to OpenFL): `src.rounds.combine`, as OpenFL asks for it."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from openfl.interface.aggregation_functions.core import AggregationFunction

from src.plan import parts
from src.plan.plan import build
from src.rounds.combine import combine


class _OneInstanceEach(type(AggregationFunction)):
    """OpenFL 1.9 makes one instance per class and drops the settings of any later one."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        return type.__call__(cls, *args, **kwargs)


class Rule(AggregationFunction, metaclass=_OneInstanceEach):
    """rule: a part, `{template: src.aggregation.weighted_mean.WeightedMean, settings: {}}`."""

    def __init__(self, rule: Mapping[str, Any]) -> None:
        super().__init__()
        self.rule: parts.Rule = build(rule)

    def call(self, local_tensors, db_iterator, tensor_name, fl_round, tags) -> np.ndarray:
        """The combined tensor. RunFailed: see `combine`."""
        sent = {local.col_name: (local.tensor, local.weight) for local in local_tensors}
        return combine(self.rule, sent, where=f"Round {fl_round}, tensor {tensor_name!r}")
