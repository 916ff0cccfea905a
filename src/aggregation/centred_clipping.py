"""Centred clipping: updates are shortened around the last round's update, then averaged.

Karimireddy, He, Jaggi 2021 (arXiv:2012.10333), algorithm 1. With v the last round's aggregate and
u_i the updates, L times:

    v <- v + mean(min(1, tau / |u_i - v|) (u_i - v))

and the model moves by v, which begins at 0 and is kept for the next round. f liars need 2f + 1
sites; the fewer they are of all, the less they move v. Numbers of cases count for nothing.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from src import require
from src.aggregation.robust import AroundModel, clipped_mean
from src.aggregation.vectors import distances
from src.plan.parts import Declares


class CentredClipping(AroundModel):
    """radius: tau; None: the median distance of the updates from v, taken anew each time.

    iterations: L.
    """

    DECLARES = Declares(encrypted=False)

    def __init__(self, *, liars: int = 1, radius: float | None = None, iterations: int = 3) -> None:
        super().__init__(liars=liars)
        if radius is not None:
            require.positive("radius", radius)
        require.whole("iterations", iterations, at_least=1)
        self.radius = radius
        self.iterations = iterations

    def centre(self, before: np.ndarray, state: Mapping[str, np.ndarray]) -> np.ndarray:
        """(P,): where the model would be if the sites went on as in the last round."""
        return before + state["v"] if "v" in state else before

    def combine_around(
        self, centre: np.ndarray, models: Sequence[np.ndarray], weights: Sequence[float]
    ) -> np.ndarray:
        """float32 (P,) from the centre and K models. weights: not looked at."""
        found = centre
        for _ in range(self.iterations):
            apart = distances(models, found)
            radius = np.median(apart) if self.radius is None else self.radius
            found = clipped_mean(models, found, apart, radius)
        return found.astype(np.float32)

    def step(
        self, before: np.ndarray, combined: np.ndarray, state: Mapping[str, np.ndarray]
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """(the next model (P,), the new v)."""
        return combined, {"v": combined - before}
