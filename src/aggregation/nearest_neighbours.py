"""Nearest-neighbour mixing: each model becomes the mean of its nearest; then a rule takes over.

Allouah, Farhadkhani, Guerraoui, Gupta, Pinot, Stephan 2023 (arXiv:2302.01772), algorithm 2: of n
sites with f liars, y_i is the mean of the n - f models nearest to x_i, its own among them. It helps
where sites are unlike: honest models come closer together, so that the rule loses fewer of them.
f liars need 2f + 1 sites, and what the rule needs. Numbers of cases count for nothing here.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from src.aggregation.robust import Robust
from src.aggregation.vectors import slices, squared_distances, stacked
from src.plan import parts
from src.plan.parts import Declares
from src.plan.plan import build


class NearestNeighbours(Robust):
    """rule: a part, the rule for what is mixed. liars: f, as the rule's."""

    DECLARES = Declares(encrypted=False)

    def __init__(self, *, rule: Mapping[str, Any], liars: int = 1) -> None:
        super().__init__(liars=liars)
        self.rule: parts.Rule = build(rule)
        if hasattr(self.rule, "centre"):
            self.centre = self.rule.centre  # type: ignore[attr-defined]
        if hasattr(self.rule, "step"):
            self.step = self.rule.step  # type: ignore[attr-defined]

    @property
    def sites_needed(self) -> int:
        """The larger of its own and the rule's."""
        return max(super().sites_needed, getattr(self.rule, "sites_needed", 0))

    def mixed(self, models: Sequence[np.ndarray]) -> list[np.ndarray]:
        """K mixed models, float32 (P,)."""
        count = len(models) - self.liars
        nearest = np.argsort(squared_distances(models), axis=1, kind="stable")[:, :count]
        share = np.zeros((len(models), len(models)))
        np.put_along_axis(share, nearest, 1 / count, axis=1)
        made = [np.empty(model.shape, np.float32) for model in models]
        for part in slices(models[0].size):
            for whole, chunk in zip(made, share @ stacked(models, part), strict=True):
                whole[part] = chunk
        return made

    def combine(self, models: Sequence[np.ndarray], weights: Sequence[float]) -> np.ndarray:
        """float32 (P,): what the rule makes of the mixed models."""
        return self.rule.combine(self.mixed(models), weights)

    def combine_around(
        self, centre: np.ndarray, models: Sequence[np.ndarray], weights: Sequence[float]
    ) -> np.ndarray:
        """As `combine`, with the model before the round (P,) for a rule that looks at it."""
        around = getattr(self.rule, "combine_around", None)
        if around is None:
            return self.combine(models, weights)
        return around(centre, self.mixed(models), weights)
