"""Sums and distances of whole models, a chunk of values at a time.

All sites' models at once in float64 would take more memory than an aggregator has: 30 models of 13
million values are 3 GB. So only a chunk of each is; what is float32 stays so outside.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

CHUNK = 1 << 16  # values of one model: 30 of them take 16 MB in float64


def slices(size: int) -> Iterator[slice]:
    """The chunks of a vector of so many values."""
    return (slice(start, min(start + CHUNK, size)) for start in range(0, size, CHUNK))


def stacked(models: Sequence[np.ndarray], part: slice) -> np.ndarray:
    """One chunk of all models: float64 (K, chunk)."""
    return np.stack([model[part] for model in models]).astype(np.float64, copy=False)


def by_value(
    models: Sequence[np.ndarray], rule: Callable[[np.ndarray], np.ndarray], dtype: type = np.float32
) -> np.ndarray:
    """(P,) that a rule makes value by value, from chunks (K, chunk) to (chunk,)."""
    made = np.empty(models[0].shape, dtype)
    for part in slices(made.size):
        made[part] = rule(stacked(models, part))
    return made


def weighted_sum(models: Sequence[np.ndarray], weights: np.ndarray) -> np.ndarray:
    """float64 (P,): sum(w_i x_i), summed in the order of the sites."""
    total = np.zeros(models[0].shape, np.float64)
    for part in slices(total.size):
        for model, weight in zip(models, weights, strict=True):
            total[part] += np.multiply(model[part], weight, dtype=np.float64)
    return total


def distances(models: Sequence[np.ndarray], centre: np.ndarray) -> np.ndarray:
    """(K,): Euclidean distances from a centre (P,)."""
    squared = np.zeros(len(models))
    for part in slices(centre.size):
        for number, model in enumerate(models):
            apart = np.subtract(model[part], centre[part], dtype=np.float64)
            squared[number] += apart @ apart
    return np.sqrt(squared)


def squared_distances(models: Sequence[np.ndarray]) -> np.ndarray:
    """(K, K): squared distances of each two models.

    Of differences, not of products: beside a liar's huge values the honest ones' would be rounded
    away.
    """
    squared = np.zeros((len(models), len(models)))
    for part in slices(models[0].size):
        chunk = stacked(models, part)  # (K, chunk)
        for number in range(len(models) - 1):
            apart = chunk[number + 1 :] - chunk[number]
            squared[number, number + 1 :] += np.einsum("kp,kp->k", apart, apart)
    return squared + squared.T
