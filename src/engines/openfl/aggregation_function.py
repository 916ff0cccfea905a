"""The rule (a door to OpenFL): how the sites' models become the next model.

A rule of ours is any class with `combine(models, weights)`; this file lends it OpenFL's interface.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from openfl.interface.aggregation_functions.core import AggregationFunction

from src.errors import RunFailed
from src.plan.plan import build


class CombinesModels(Protocol):
    """What a rule must be able to do."""

    def combine(self, models: Sequence[np.ndarray], weights: Sequence[float]) -> np.ndarray:
        """The next model (P,) from K models (P,) and the sites' K weights."""
        ...


class _OneInstanceEach(type(AggregationFunction)):
    """OpenFL 1.9 makes one instance per class and drops the settings of any later one."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        return type.__call__(cls, *args, **kwargs)


class Rule(AggregationFunction, metaclass=_OneInstanceEach):
    """rule: a part, `{template: src.aggregation.weighted_mean.WeightedMean, settings: {}}`."""

    def __init__(self, rule: Mapping[str, Any]) -> None:
        super().__init__()
        self.rule: CombinesModels = build(rule)

    def call(self, local_tensors, db_iterator, tensor_name, fl_round, tags) -> np.ndarray:
        """The combined tensor. RunFailed: shapes differ or a value is not finite; sites named."""
        tensors = sorted(local_tensors, key=lambda local: local.col_name)  # one order, one result
        shape = tensors[0].tensor.shape
        for local in tensors:
            if local.tensor.shape != shape:
                raise RunFailed(
                    f"Round {fl_round}, tensor {tensor_name!r}: site {local.col_name} sent shape "
                    f"{local.tensor.shape}, site {tensors[0].col_name} sent {shape}."
                )
            if not np.isfinite(local.tensor).all():
                raise RunFailed(
                    f"Round {fl_round}, tensor {tensor_name!r}: site {local.col_name} sent values "
                    "that are not finite. Its training diverged: lower the learning rate, or look "
                    "at its log."
                )
        return self.rule.combine(
            [local.tensor for local in tensors], [local.weight for local in tensors]
        )
