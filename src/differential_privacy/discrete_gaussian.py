"""Discrete Gaussian noise: integers with P(x) proportional to exp(-x^2 / 2 sigma^2), drawn exactly.

Canonne, Kamath and Steinke 2020 (arXiv:2004.00010), algorithms 1 to 3, on whole arrays. Every
decision compares integers, every bit comes from the operating system. There is no logarithm, no
exponential and no seed, whose errors would break a proof of privacy (Mironov 2012,
doi:10.1145/2382196.2382264).
"""

import os

import numpy as np

from src.errors import SettingError

LARGEST = 1 << 22  # sigma: what 24-bit fields can hold, and what keeps every product below 2^63
MOST_WHOLES = 512  # a Laplace value beyond 512 sigma has probability e^-512
BLOCK = 1 << 15  # values at a time, so that they stay in the processor's cache


def discrete_gaussian(sigma: int, count: int) -> np.ndarray:
    """int64 (count,), independent draws.

    SettingError: sigma is no whole number from 1 to LARGEST.
    """
    if not isinstance(sigma, int) or not 1 <= sigma <= LARGEST:
        raise SettingError(f"sigma must be a whole number from 1 to {LARGEST}, got {sigma!r}.")
    drawn = [_block(sigma, min(BLOCK, count - start)) for start in range(0, count, BLOCK)]
    return np.concatenate([np.empty(0, np.int64), *drawn])


def _block(sigma: int, count: int) -> np.ndarray:
    """Algorithm 3: discrete Laplace values of scale sigma, of which some are kept."""
    found = np.empty(0, np.int64)
    while len(found) < count:
        # two of three are kept
        proposed = _discrete_laplace(sigma, (count - len(found)) * 3 // 2 + 32)
        distance = np.abs(proposed) - sigma  # |y| - sigma^2 / t with t = sigma
        kept = _bernoulli_exp(distance * distance, 2 * sigma * sigma)
        found = np.concatenate([found, proposed[kept]])
    return found[:count]


def _discrete_laplace(scale: int, count: int) -> np.ndarray:
    """Algorithm 2: at most `count` values with P(x) proportional to exp(-|x| / scale)."""
    remainder = _uniform(scale, count)
    remainder = remainder[_bernoulli_exp(remainder, scale)]
    wholes = np.zeros(len(remainder), np.int64)
    going = np.arange(len(remainder))
    while len(going):
        going = going[_bernoulli_exp_below_one(np.ones(len(going), np.int64), 1)]
        wholes[going] += 1
    if wholes.max(initial=0) > MOST_WHOLES:
        raise OverflowError(f"A value beyond {MOST_WHOLES} sigma: is the generator broken?")
    size = remainder + scale * wholes
    negative = _uniform(2, len(size)) == 1
    once = ~(negative & (size == 0))  # else 0 would come twice as often
    return np.where(negative, -size, size)[once]


def _bernoulli_exp(numerator: np.ndarray, denominator: int) -> np.ndarray:
    """bool, each true with probability exp(-numerator / denominator); numerator (N,) >= 0."""
    wholes, rest = np.divmod(numerator, denominator)
    true = _bernoulli_exp_below_one(rest, denominator)
    going = np.flatnonzero(true & (wholes > 0))
    while len(going):  # exp(-g) = exp(-1) ... exp(-1) exp(-rest)
        lives = _bernoulli_exp_below_one(np.ones(len(going), np.int64), 1)
        true[going[~lives]] = False
        wholes[going] -= 1
        going = going[lives & (wholes[going] > 0)]
    return true


def _bernoulli_exp_below_one(numerator: np.ndarray, denominator: int) -> np.ndarray:
    """Algorithm 1, for numerators 0 to denominator: von Neumann's way to exp without exp.

    The first k at which a coin of probability g / k shows tails is odd with probability exp(-g).
    """
    odd = np.zeros(len(numerator), bool)
    going, k = np.arange(len(numerator)), 1
    while len(going):
        heads = _uniform(denominator * k, len(going)) < numerator[going]
        odd[going[~heads]] = k % 2 == 1
        going, k = going[heads], k + 1
    return odd


def _uniform(below: int, count: int) -> np.ndarray:
    """int64 (count,), uniform in 0 .. below - 1, without the bias of a plain remainder."""
    most = (1 << 63) // below * below  # the largest multiple: what is above is drawn again
    found = np.empty(0, np.int64)
    while len(found) < count:
        words = np.frombuffer(os.urandom(8 * (count - len(found))), np.uint64)
        drawn = (words >> np.uint64(1)).astype(np.int64)
        if most <= (1 << 63) - 1:
            drawn = drawn[drawn < most]
        found = np.concatenate([found, drawn % below])
    return found
