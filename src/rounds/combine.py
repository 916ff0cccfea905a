"""How the sites' models become the next: the plan's rule, behind two checks.

A rule is any class with `combine(models, weights)`; it sees no site's name.
"""

from collections.abc import Mapping

import numpy as np

from src.errors import RunFailed
from src.plan.parts import Rule


def combine(rule: Rule, sent: Mapping[str, tuple[np.ndarray, float]], *, where: str) -> np.ndarray:
    """The next model from {site: (model, weight)}, in the order of names: one order, one result.

    where: round and tensor, for the message. RunFailed: shapes differ, or a value is not finite.
    """
    sites = sorted(sent)
    shape = sent[sites[0]][0].shape
    for site in sites:
        model, _ = sent[site]
        if model.shape != shape:
            raise RunFailed(
                f"{where}: site {site} sent shape {model.shape}, site {sites[0]} sent {shape}."
            )
        if not np.isfinite(model).all():
            raise RunFailed(
                f"{where}: site {site} sent values that are not finite. Its training diverged: "
                "lower the learning rate, or look at its log."
            )
    return rule.combine([sent[site][0] for site in sites], [sent[site][1] for site in sites])
