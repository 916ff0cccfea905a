"""Weighted mean: the next model is sum(n_i w_i) / sum(n_i) (FedAvg, McMahan et al. 2017).

arXiv:1602.05629, algorithm 1. n_i is the number of training cases that site i reports.
"""

from collections.abc import Sequence

import numpy as np

from src.errors import RunFailed
from src.plan.parts import Declares


class WeightedMean:
    """The rule of FedAvg, summed in float64 in a fixed order: equal inputs give equal bits."""

    DECLARES = Declares(encrypted=False, mean=True)

    def combine(self, models: Sequence[np.ndarray], weights: Sequence[float]) -> np.ndarray:
        """float32 (P,) for K models (P,) and K weights >= 0. RunFailed: the weights sum to 0."""
        total = float(sum(weights))
        if total <= 0:
            raise RunFailed(f"The weights must sum to more than 0, got {list(weights)}.")
        mean = np.zeros(models[0].shape, np.float64)
        for model, weight in zip(models, weights, strict=True):
            mean += np.multiply(model, weight / total, dtype=np.float64)
        return mean.astype(np.float32)
