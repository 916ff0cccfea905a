"""Membership inference by the loss: can somebody who holds a model tell who was trained on?

A model fits the patients that it was trained on better than others of the same hospital, so a low
loss suggests a member (Yeom et al. 2018, arXiv:1709.01604). This is the simplest attack. What it
finds is there; what it does not find, a better attack still might (Carlini et al. 2022,
arXiv:2112.03570), and only differential privacy bounds them all.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch

from src.data.preprocess import PreparedCase
from src.errors import InputError
from src.inference.windows import Network, pad_to_multiple

LARGEST = 192  # voxels along an axis; a brain at 1 mm is smaller, and so is taken whole
LEVEL = 0.95  # of the interval
RATES = (0.1, 0.01, 0.001)  # false positives at which the attack is also told
OTHERS_PER_FALSE_POSITIVE = 10  # a rate needs so many times 1/rate non-members


class Compute(Protocol):
    """Where and how the network runs; `src.training.compute.Compute` is one."""

    def autocast(self) -> AbstractContextManager: ...
    def tensor(self, array: np.ndarray) -> torch.Tensor: ...


def losses(
    network: Network, cases: Iterable[PreparedCase], loss: torch.nn.Module, compute: Compute
) -> np.ndarray:
    """The loss of each case, float64 (n,), in their order, and the same each time.

    A case is taken whole and unvaried (of more than LARGEST voxels: its middle), so that members
    and others are asked the same question. InputError: a case has no label.
    """
    network.eval()
    with torch.inference_mode():
        return np.array([_loss(network, case, loss, compute) for case in cases], np.float64)


def _loss(network: Network, case: PreparedCase, loss: torch.nn.Module, compute: Compute) -> float:
    if case.regions is None:
        raise InputError(f"Case {case.case_id} has no label, so it has no loss.")
    middle = tuple(
        slice(max(0, length - LARGEST) // 2, max(0, length - LARGEST) // 2 + LARGEST)
        for length in case.images.shape[1:]
    )
    images = np.array(case.images[(slice(None), *middle)], np.float32)[None]
    regions = np.array(case.regions[(slice(None), *middle)], np.float32)[None]
    with compute.autocast():
        logits = network(pad_to_multiple(compute.tensor(images), network.multiple))
    x, y, z = images.shape[2:]
    return float(loss(logits[..., :x, :y, :z].float(), compute.tensor(regions)))


def by_patient(losses: np.ndarray, cases: Sequence[PreparedCase]) -> np.ndarray:
    """The mean over each patient's scans, (patients,): one person is one member."""
    scans: dict[str, list[float]] = {}
    for value, case in zip(losses, cases, strict=True):
        scans.setdefault(case.patient_id, []).append(float(value))
    return np.array([np.mean(values) for values in scans.values()])


@dataclass(frozen=True)
class Auc:
    """The probability that a member's loss is below another patient's; 0.5 is a coin toss.

    low, high: its 95 % interval.
    """

    value: float
    low: float
    high: float

    @property
    def is_evidence(self) -> bool:
        """Whether the interval lies above a coin toss, so that the attack distinguishes members."""
        return self.low > 0.5


def auc(
    members: np.ndarray, others: np.ndarray, *, rng: np.random.Generator, resamples: int = 2000
) -> Auc:
    """The area under the curve of two sets of losses, one for each patient. See `pooled_auc`."""
    return pooled_auc([(members, others)], rng=rng, resamples=resamples)


def pooled_auc(
    sites: Sequence[tuple[np.ndarray, np.ndarray]],
    *,
    rng: np.random.Generator,
    resamples: int = 2000,
) -> Auc:
    """The area under the curve of several sites' (members, others).

    Each member is compared with others of the same site only, since hospitals differ in scanner and
    patients, which must not be taken for membership. The interval is the percentile bootstrap over
    patients, members and others separately (Efron 1979). For sets that do not overlap it has no
    width; look at their sizes then.
    InputError: a set is empty, or a loss is not finite.
    """
    pairs = [_wins(*site) for site in sites]
    total = sum(wins.size for wins in pairs)
    if not total:
        raise InputError("Expected at least one site with members and others, found none.")
    resampled = np.zeros(resamples)
    for wins in pairs:
        members, others = (_resampled(size, resamples, rng) for size in wins.shape)
        resampled += ((members @ wins) * others).sum(axis=1)
    low, high = np.quantile(resampled / total, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Auc(float(sum(wins.sum() for wins in pairs) / total), float(low), float(high))


def _resampled(size: int, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """Weights (resamples, size) of a bootstrap sample; each row sums to `size`.

    One fewer is drawn than there are, since intervals of a few patients would otherwise be too
    narrow (Efron 1982, The Jackknife, the Bootstrap and Other Resampling Plans).
    """
    draws = max(1, size - 1)
    return rng.multinomial(draws, np.full(size, 1 / size), resamples) * (size / draws)


def _wins(members: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(members, others): 1 where the member's loss is lower, 1/2 where both are equal, else 0."""
    for name, values in (("members", members), ("others", others)):
        if not len(values) or not np.isfinite(values).all():
            raise InputError(f"{name}: expected finite losses of one patient or more: {values}.")
    return (members[:, None] < others) + 0.5 * (members[:, None] == others)


def true_positive_rates(members: np.ndarray, others: np.ndarray) -> Mapping[float, float]:
    """The share of members whom the attack finds, by rate of false positives.

    Only rates that so many others can measure are given. The threshold lets at most that share of
    the others through.
    """
    found: dict[float, Any] = {}
    for rate in RATES:
        if len(others) >= OTHERS_PER_FALSE_POSITIVE / rate:
            threshold = np.sort(others)[int(rate * len(others))]
            found[rate] = float(np.mean(members < threshold))
    return found
