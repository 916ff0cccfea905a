"""FedAvgM: momentum on the mean update of all sites, at the aggregator.

Hsu, Qi, Brown 2019 (arXiv:1909.06335): m <- beta m + (mean - x), x <- x + eta m. This is torch's
SGD with momentum, the mean update standing for the negative gradient. In an encrypted plan, where
the aggregator reads no model, `src.training.shared_momentum` does the same at the sites.
"""

from collections.abc import Mapping

import numpy as np

from src import require
from src.aggregation.weighted_mean import WeightedMean
from src.plan.parts import Declares


class FedAvgM(WeightedMean):
    """momentum: beta. learning_rate: eta; with beta, a lasting drift moves the model by eta / (1 -
    beta) times the mean update.
    """

    DECLARES = Declares(encrypted=False)

    def __init__(self, *, momentum: float = 0.9, learning_rate: float = 0.1) -> None:
        require.in_range("momentum", momentum, 0.0, 0.999)
        require.positive("learning_rate", learning_rate)
        self.momentum = momentum
        self.learning_rate = learning_rate

    def step(
        self, before: np.ndarray, mean: np.ndarray, state: Mapping[str, np.ndarray]
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """(the next model (P,), the new m) from the model before the round and the sites' mean."""
        update = mean.astype(np.float64) - before
        m = self.momentum * state.get("m", np.zeros_like(update)) + update
        return (before + self.learning_rate * m).astype(np.float32), {"m": m}
