"""Geometric median (RFA): the model whose distances to all sites' models sum to the least.

Pillutla, Kakade, Harchaoui 2022 (10.1109/TSP.2022.3153135, arXiv:1912.13445), the smoothed
Weiszfeld algorithm:

    z <- sum(b_i x_i) / sum(b_i),   b_i = a_i / max(nu, |z - x_i|)

from the coordinate median, which a liar's huge values do not move. f liars need 2f + 1 sites, and
less than half the weight. The weights a_i are equal, unless the plan trusts the numbers of cases.
"""

from collections.abc import Sequence

import numpy as np

from src import require
from src.aggregation.robust import Robust
from src.aggregation.vectors import by_value, distances, weighted_sum
from src.errors import RunFailed
from src.plan.parts import Declares


class GeometricMedian(Robust):
    """by_cases: a_i is the number of cases that site i reports of itself; a liar that reports more
        than all others together decides alone.
    smoothing: nu, the least distance that counts.
    iterations: at most. tolerance: it ends when the gradient is shorter (the pull of all
        sites in one direction would be 1). Steps alone are no measure: beside a model that is not
        the median they are short too.
    """

    DECLARES = Declares(encrypted=False)

    def __init__(
        self,
        *,
        liars: int = 1,
        by_cases: bool = False,
        smoothing: float = 1e-6,
        iterations: int = 200,
        tolerance: float = 1e-7,
    ) -> None:
        super().__init__(liars=liars)
        require.positive("smoothing", smoothing)
        require.whole("iterations", iterations, at_least=1)
        require.positive("tolerance", tolerance)
        self.by_cases = by_cases
        self.smoothing = smoothing
        self.iterations = iterations
        self.tolerance = tolerance

    def combine(self, models: Sequence[np.ndarray], weights: Sequence[float]) -> np.ndarray:
        """float32 (P,) for K models (P,). RunFailed: weights are asked for, and sum to 0."""
        shares = np.array(weights if self.by_cases else [1.0] * len(models), np.float64)
        if shares.sum() <= 0:
            raise RunFailed(f"The weights must sum to more than 0, got {list(weights)}.")
        shares /= shares.sum()
        found = by_value(models, lambda chunk: np.median(chunk, axis=0), np.float64)
        for _ in range(self.iterations):
            apart = distances(models, found)
            pull = shares / np.maximum(apart, self.smoothing)
            before, found = found, weighted_sum(models, pull / pull.sum())
            moved = distances([found], before)[0]
            if moved * pull.sum() <= self.tolerance:
                break
        return found.astype(np.float32)
