"""Checks of drawn noise: does it have the guaranteed size, and is it new each time?

An audit by canaries cannot see this. Noise that repeats in each round, or at each site, hides a
single result as well as it should; but anyone who holds two of them subtracts one from the other.
"""

import math

import numpy as np
from scipy.stats import chi2

LEVEL = 1e-6  # chance that right noise is rejected
DEVIATIONS = 5.0  # of a correlation of independent noise; chance about 6e-7


def has_size(noise: np.ndarray, deviation: float) -> bool:
    """Whether the sum of squares fits independent N(0, deviation^2)."""
    low, high = chi2.ppf([LEVEL / 2, 1 - LEVEL / 2], noise.size)
    return bool(low < np.square(noise / deviation).sum() < high)


def correlation(one: np.ndarray, other: np.ndarray) -> float:
    """The cosine of two noises of mean 0; 0 if one of them is zero everywhere."""
    lengths = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float(one @ other) / lengths if lengths else 0.0


def are_independent(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two noises are as uncorrelated as independent ones of their length."""
    return abs(correlation(one, other)) < DEVIATIONS / math.sqrt(one.size)
