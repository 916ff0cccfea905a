"""Coordinate median: of each value of the model, the median of all sites'.

Yin, Chen, Ramchandran, Bartlett 2018 (arXiv:1803.01498), definition 1. Of an even number of sites:
the mean of the two in the middle. f liars need 2f + 1 sites; then each value lies between those of
two honest sites. Numbers of cases count for nothing.
"""

from collections.abc import Sequence

import numpy as np

from src.aggregation.robust import Robust
from src.aggregation.vectors import by_value
from src.plan.parts import Declares


class Median(Robust):
    """liars: f; it changes nothing but how many sites there must be."""

    DECLARES = Declares(encrypted=False)

    def combine(self, models: Sequence[np.ndarray], weights: Sequence[float]) -> np.ndarray:
        """float32 (P,) for K models (P,). weights: not looked at."""
        return by_value(models, lambda chunk: np.median(chunk, axis=0))
