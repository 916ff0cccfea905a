"""Krum: the next model is one site's, that with the closest neighbours; Multi-Krum: several's mean.

Blanchard, El Mhamdi, Guerraoui, Stainer 2017 (arXiv:1703.02757). Of n sites with f liars the score
of site i is the sum of |x_i - x_j|^2 over its n - f - 2 nearest other sites j; the lowest wins.
(ByzFL 0.0.11 sums n - f - 1 and so picks others.) f liars need 2f + 3 sites. Numbers of cases
count for nothing. Where sites are unlike, one site's model is not the federation's: Krum learns
slowly there, and Multi-Krum is the better choice.
"""

from collections.abc import Sequence

import numpy as np

from src import require
from src.aggregation.robust import Robust
from src.aggregation.vectors import squared_distances, weighted_sum
from src.errors import SettingError
from src.plan.parts import Declares


class Krum(Robust):
    """liars: f."""

    DECLARES = Declares(encrypted=False)

    @property
    def sites_needed(self) -> int:
        """2f + 3: section 3 of the paper."""
        return 2 * self.liars + 3

    def scores(self, models: Sequence[np.ndarray]) -> np.ndarray:
        """(K,): how far each site's nearest n - f - 2 others are."""
        nearest = len(models) - self.liars - 2
        ordered = np.sort(squared_distances(models), axis=1)  # the first is the site itself
        return ordered[:, 1 : nearest + 1].sum(axis=1)

    def combine(self, models: Sequence[np.ndarray], weights: Sequence[float]) -> np.ndarray:
        """float32 (P,): one of the models; of equal scores the first. weights: not looked at."""
        return np.array(models[int(self.scores(models).argmin())], np.float32)


class MultiKrum(Krum):
    """averaged: m, how many models with the lowest scores are averaged; None: n - f."""

    DECLARES = Declares(encrypted=False)

    def __init__(self, *, liars: int = 1, averaged: int | None = None) -> None:
        super().__init__(liars=liars)
        if averaged is not None:
            require.whole("averaged", averaged, at_least=1)
        self.averaged = averaged

    def combine(self, models: Sequence[np.ndarray], weights: Sequence[float]) -> np.ndarray:
        """float32 (P,): the mean of the best models. SettingError: more than n - f are asked for.

        weights: not looked at.
        """
        most = len(models) - self.liars
        count = self.averaged or most
        if count > most:
            raise SettingError(
                f"averaged must be at most {most}, for {len(models)} sites and {self.liars} liars; "
                f"got {count}: a liar would be among them."
            )
        chosen = sorted(np.argsort(self.scores(models), kind="stable")[:count])
        best = [models[number] for number in chosen]
        return weighted_sum(best, np.full(count, 1 / count)).astype(np.float32)
