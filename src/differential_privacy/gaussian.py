"""Gaussian noise from the operating system's generator, never from a seed.

A seed that a plan names would repeat the same noise in each round and at each site, and anyone who
knows the plan could subtract it. Each normal number is half the sum of four, which hides the gaps
between floating-point numbers through which a single draw leaks what it was added to (Mironov 2012,
doi:10.1145/2382196.2382264; Holohan and Braghin 2021, arXiv:2107.10138).
"""

import os

import numpy as np

SUMMANDS = 4
BLOCK = 1 << 15  # values at a time, so that they stay in the processor's cache


def uniform(count: int) -> np.ndarray:
    """float64 (count,) in (0, 1], multiples of 2^-53."""
    drawn = np.frombuffer(os.urandom(8 * count), np.uint64)
    return ((drawn >> np.uint64(11)) + 1.0) * 2.0**-53


def standard_normal(count: int) -> np.ndarray:
    """float64 (count,), mean 0, variance 1 (Box and Muller 1958, doi:10.1214/aoms/1177706645)."""
    total = np.empty(count)
    for start in range(0, count, BLOCK):
        length = min(BLOCK, count - start)
        total[start : start + length] = _block(length)
    return total


def _block(count: int) -> np.ndarray:
    pairs = -(-count * SUMMANDS // 2)
    radius = np.sqrt(-2 * np.log(uniform(pairs)))
    angle = 2 * np.pi * uniform(pairs)
    drawn = np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])
    drawn = drawn[: count * SUMMANDS].reshape(SUMMANDS, count)
    return drawn.sum(axis=0) / np.sqrt(SUMMANDS)
