"""One-run audit: a lower bound on the epsilon that a mechanism has spent, seen from outside.

Each of m canaries is in or out by a coin toss. From what the mechanism released, the auditor
guesses some of the coins. If the mechanism is (epsilon, delta)-private, the auditor can hardly be
right more often than by randomised response of epsilon. So the number of right guesses bounds
epsilon from below (Steinke, Nasr, Jagielski 2023, arXiv:2305.08846, Theorem 5.2). A bound above the
claim disproves the claim. One below proves nothing: a better auditor might find more.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.stats import binom

from src import require

CONFIDENCE = 0.95
LARGEST = 30.0  # epsilon to which the search goes; no number of guesses gets there
GUESSED = 0.01  # of the canaries, at either end: fixed beforehand, or the bound would not hold


@dataclass(frozen=True)
class Audit:
    """The result of an audit.

    guesses, right: of `canaries` coins.
    lower_bound: of epsilon, at 95 % confidence.
    """

    canaries: int
    guesses: int
    right: int
    lower_bound: float


def audit(
    mechanism: Callable[[np.ndarray], np.ndarray],
    *,
    canaries: int,
    delta: float,
    rng: np.random.Generator,
    repeats: int = 1,
) -> Audit:
    """Toss the coins, run the mechanism, guess where its output is most telling, and count.

    mechanism: from who is in, bool (canaries,), to a score of each; a higher one speaks for "in".
    repeats: runs of the mechanism on canaries of their own. Each touches a run of its own, so that
        together they are one run of repeats * canaries.
    """
    require.whole("canaries", canaries, at_least=100)
    require.whole("repeats", repeats, at_least=1)
    each = max(1, round(GUESSED * canaries))
    right = 0
    for _ in range(repeats):
        included = rng.random(canaries) < 0.5
        order = np.argsort(mechanism(included), kind="stable")
        right += int((~included[order[:each]]).sum() + included[order[-each:]].sum())
    total, guesses = repeats * canaries, repeats * 2 * each
    return Audit(total, guesses, right, lower_bound(total, guesses, right, delta))


def lower_bound(canaries: int, guesses: int, right: int, delta: float) -> float:
    """The largest epsilon that so many right guesses refute at 95 % confidence; 0 for none."""
    if p_value(canaries, guesses, right, 0.0, delta) >= 1 - CONFIDENCE:
        return 0.0
    low, high = 0.0, LARGEST
    while high - low > 1e-6:
        middle = (low + high) / 2
        if p_value(canaries, guesses, right, middle, delta) < 1 - CONFIDENCE:
            low = middle
        else:
            high = middle
    return low


def p_value(canaries: int, guesses: int, right: int, epsilon: float, delta: float) -> float:
    """Probability of `right` or more right guesses under (epsilon, delta)-differential privacy.

    P[W >= v] + 2 m delta max_i P[v > W >= v - i] / i with W ~ Binomial(guesses, e^eps/(1 + e^eps)).
    """
    if not 0 <= right <= guesses <= canaries:
        raise ValueError(
            f"Expected right <= guesses <= canaries, got {right}, {guesses}, {canaries}."
        )
    accuracy = 1 / (1 + math.exp(-epsilon))
    chance = float(binom.sf(right - 1, guesses, accuracy))
    if right and delta:
        below = np.cumsum(binom.pmf(np.arange(right - 1, -1, -1), guesses, accuracy))
        chance += 2 * canaries * delta * float((below / np.arange(1, right + 1)).max())
    return min(chance, 1.0)
