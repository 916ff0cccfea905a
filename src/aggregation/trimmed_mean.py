"""Trimmed mean: of each value of the model, drop the f largest and f smallest and take the mean.

Yin, Chen, Ramchandran, Bartlett 2018 (arXiv:1803.01498), definition 2, with beta = f / n. f liars
need 2f + 1 sites; then what is averaged lies between values of honest sites. Numbers of cases count
for nothing.
"""

from collections.abc import Sequence

import numpy as np

from src.aggregation.robust import Robust
from src.aggregation.vectors import by_value
from src.plan.parts import Declares


class TrimmedMean(Robust):
    """liars: f, dropped at each end of each value."""

    DECLARES = Declares(encrypted=False)

    def combine(self, models: Sequence[np.ndarray], weights: Sequence[float]) -> np.ndarray:
        """float32 (P,) for K > 2f models (P,). weights: not looked at."""
        kept = slice(self.liars, len(models) - self.liars)
        return by_value(models, lambda chunk: np.sort(chunk, axis=0)[kept].mean(axis=0))
