"""What a liar sends in place of its update; pure functions, for simulations and tests alone.

An update is what training has changed in the model, (P,). Each function gives what the liar sends.
"""

from collections.abc import Sequence

import numpy as np


def sign_flip(own: np.ndarray) -> np.ndarray:
    """The opposite of its own update."""
    return -own


def scaled(own: np.ndarray, factor: float) -> np.ndarray:
    """Its own update, so many times as long; with a negative factor in the opposite direction."""
    return (factor * own).astype(own.dtype)


def gaussian(own: np.ndarray, times: float, rng: np.random.Generator) -> np.ndarray:
    """Noise alone, on average so many times as long as its own update."""
    noise = rng.standard_normal(own.shape)
    length = times * np.linalg.norm(own.astype(np.float64))
    return (noise * (length / np.sqrt(own.size))).astype(own.dtype)


def inner_product(honest: Sequence[np.ndarray], factor: float) -> np.ndarray:
    """The honest mean, reversed and scaled (IPM): Xie, Koyejo, Gupta 2019 (arXiv:1903.03936).

    A factor below (n - f) / f shortens the mean of all n updates; one above it turns it round.
    """
    mean = np.mean(np.stack(honest), axis=0, dtype=np.float64)
    return np.asarray(-factor * mean, honest[0].dtype)


def a_little_is_enough(honest: Sequence[np.ndarray], z: float) -> np.ndarray:
    """The honest mean plus z standard deviations, value by value (ALIE).

    Baruch, Baruch, Goldberg 2019 (arXiv:1902.06156); deviations with K - 1, as ByzFL has them.
    """
    stacked = np.stack(honest).astype(np.float64)
    return (stacked.mean(0) + z * stacked.std(0, ddof=1)).astype(honest[0].dtype)
