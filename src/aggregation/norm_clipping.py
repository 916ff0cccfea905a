"""Norm clipping: each update is shortened to the median length of all, then the mean is taken.

Sun, Kairouz, Suresh, McMahan 2019 (arXiv:1911.07963), section 4, "norm thresholding of updates",
with the sites' median as threshold: x + mean(min(1, M / |u_i|) u_i), M = median |u_i|. f liars need
2f + 1 sites, so that M is no longer than an honest update; f of n then move the model by at most
f / n M. It bounds what a liar does, and does not find it: one who lies within the usual length
has the weight of everybody. Numbers of cases count for nothing.
"""

from collections.abc import Sequence

import numpy as np

from src.aggregation.robust import AroundModel, clipped_mean
from src.aggregation.vectors import distances
from src.plan.parts import Declares


class NormClipping(AroundModel):
    """liars: f; it changes nothing but how many sites there must be."""

    DECLARES = Declares(encrypted=False)

    def combine_around(
        self, centre: np.ndarray, models: Sequence[np.ndarray], weights: Sequence[float]
    ) -> np.ndarray:
        """float32 (P,) from the model before the round and K models. weights: not looked at."""
        lengths = distances(models, centre)
        return clipped_mean(models, centre, lengths, np.median(lengths)).astype(np.float32)
