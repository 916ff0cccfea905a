"""What all robust rules have in common: how many sites may lie, and how many there must be."""

from collections.abc import Sequence

import numpy as np

from src import require
from src.aggregation.vectors import slices


class Robust:
    """liars: f, the sites that may send anything. Fewer than `sites_needed` sites are refused.

    Numbers of cases count for nothing, since a site reports its own: whoever claims the most would
    lead. So a site with many patients loses weight.
    """

    def __init__(self, *, liars: int = 1) -> None:
        require.whole("liars", liars)
        self.liars = liars

    @property
    def sites_needed(self) -> int:
        """Fewest sites of a round: with 2f + 1 the honest ones are more than the liars."""
        return 2 * self.liars + 1


class AroundModel(Robust):
    """A robust rule that looks at what each site has changed in the model."""

    def combine(self, models: Sequence[np.ndarray], weights: Sequence[float]) -> np.ndarray:
        """As `combine_around`, where the model before the round is 0: so of updates themselves."""
        return self.combine_around(np.zeros(models[0].shape, np.float32), models, weights)

    def combine_around(
        self, centre: np.ndarray, models: Sequence[np.ndarray], weights: Sequence[float]
    ) -> np.ndarray:
        """float32 (P,) from the model before the round (P,) and K models (P,)."""
        raise NotImplementedError


def clipped_mean(models: Sequence[np.ndarray], centre: np.ndarray, lengths: np.ndarray, longest):
    """float64 (P,): c + mean(min(1, longest / |x_i - c|) (x_i - c)), lengths being |x_i - c|."""
    scales = np.minimum(1.0, longest / np.maximum(lengths, np.finfo(np.float64).tiny))
    moved = np.array(centre, np.float64)
    for part in slices(moved.size):
        start = moved[part].copy()
        for model, scale in zip(models, scales, strict=True):
            moved[part] += (model[part] - start) * (scale / len(models))
    return moved
