"""FedAdam and FedYogi: a step size of its own for each parameter, at the aggregator.

Reddi et al. 2021 (arXiv:2003.00295), algorithm 2. With D = mean - x, the sites' mean update:

    m <- b1 m + (1 - b1) D
    v <- b2 v + (1 - b2) D^2                      FedAdam
    v <- v - (1 - b2) D^2 sign(v - D^2)           FedYogi
    x <- x + eta m / (sqrt(v) + tau)

m begins at 0 and v at tau^2; unlike Adam's, that beginning is not corrected for. An encrypted plan
cannot have this: v is no sum, and a site that comes late would have to be handed m and v.
"""

from collections.abc import Mapping

import numpy as np

from src import require
from src.aggregation.weighted_mean import WeightedMean
from src.plan.parts import Declares


class FedAdam(WeightedMean):
    """learning_rate: eta. beta1, beta2: how long m and v remember. tau: floor of the step's scale,
    to be of the size of a parameter's update.
    """

    DECLARES = Declares(encrypted=False)

    def __init__(
        self,
        *,
        learning_rate: float = 0.003,
        beta1: float = 0.9,
        beta2: float = 0.99,
        tau: float = 1e-3,
    ) -> None:
        require.positive("learning_rate", learning_rate)
        require.in_range("beta1", beta1, 0.0, 0.9999)
        require.in_range("beta2", beta2, 0.0, 0.9999)
        require.positive("tau", tau)
        self.learning_rate = learning_rate
        self.beta1, self.beta2 = beta1, beta2
        self.tau = tau

    def step(
        self, before: np.ndarray, mean: np.ndarray, state: Mapping[str, np.ndarray]
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """(the next model (P,), the new m and v)."""
        update = mean.astype(np.float64) - before
        m = state.get("m", np.zeros_like(update))
        v = state.get("v", np.full_like(update, self.tau**2))
        m = self.beta1 * m + (1 - self.beta1) * update
        v = self._second_moment(v, update**2)
        after = before + self.learning_rate * m / (np.sqrt(v) + self.tau)
        return after.astype(np.float32), {"m": m, "v": v}

    def _second_moment(self, v: np.ndarray, squared: np.ndarray) -> np.ndarray:
        return self.beta2 * v + (1 - self.beta2) * squared


class FedYogi(FedAdam):
    """As FedAdam, but v follows a smaller update more slowly than a larger one."""

    DECLARES = Declares(encrypted=False)

    def _second_moment(self, v: np.ndarray, squared: np.ndarray) -> np.ndarray:
        return v - (1 - self.beta2) * squared * np.sign(v - squared)
