"""The accountant computes which epsilon a sequence of DP events has cost, at a given delta.

A DP event is a Gaussian mechanism on a Poisson sample of the patients (privacy amplification by
sampling). Budgets are held to Renyi differential privacy (Mironov, Talwar, Zhang 2019,
arXiv:1908.10530), which is Opacus' own arithmetic: an upper bound that composes exactly, however
the steps are split over rounds, restarts and runs. The numerical PRV bound (Gopi et al. 2021,
arXiv:2106.02848) is tighter; it is printed beside, and nothing depends on it.
"""

import math
import warnings
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from src import require
from src.errors import SettingError

# Every order of Opacus 1.6 and more: lower ones for little noise, higher ones for much of it.
SERIES = 1000  # above, the series for a sampled release overflows float64
CHEAP = 2  # a fractional order below takes thousands of terms
ORDERS = (
    *(1 + x / 1000 for x in (1, 2, 4, 7, 10, 20, 35, 60)),
    *(1 + x / 10 for x in range(1, 100)),
    *range(11, 64),
    *(64, 72, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 640, 768, 896, SERIES),
    *(int(SERIES * 1.5**power) for power in range(1, 25)),
)
PRV_WORTH = 100.0  # epsilon above which PRV would need gigabytes, to say what means nothing


@dataclass(frozen=True, kw_only=True)
class DpEvent:
    """One use of a mechanism, as dp-accounting calls it.

    noise_multiplier: standard deviation of the noise over the sensitivity; 0 for no noise.
    sample_rate: probability that a patient is in a step.
    steps: how often the mechanism runs, each time with a fresh sample and fresh noise.
    """

    noise_multiplier: float
    sample_rate: float = 1.0
    steps: int = 1

    def __post_init__(self) -> None:
        require.not_negative("noise_multiplier", self.noise_multiplier)
        require.in_range("sample_rate", self.sample_rate, 1e-9, 1.0)
        require.whole("steps", self.steps, at_least=1)


def epsilon(events: Iterable[DpEvent], delta: float) -> float:
    """Epsilon of all events together, by RDP: 0 if there are none, inf if one has no noise.

    The result does not depend on order and grouping, to the last bit.
    SettingError: delta is not inside (0, 1).
    """
    _check_delta(delta)
    history = _history(events)
    if not history:
        return 0.0
    best = math.inf
    for order in sorted(ORDERS, key=lambda order: order < CHEAP):
        if _least(order, delta) < best:
            moments = sum(_rdp(order, *event) for event in history)
            best = min(best, moments + _least(order, delta))
    return max(best, 0.0)


def epsilon_prv(events: Iterable[DpEvent], delta: float) -> float:
    """The tighter PRV bound, never above `epsilon`; above PRV_WORTH it is `epsilon` itself."""
    events = list(events)
    bound = epsilon(events, delta)
    if not 0 < bound <= PRV_WORTH:
        return bound
    from opacus.accountants import PRVAccountant

    accountant = PRVAccountant()
    accountant.history = _history(events)
    # Opacus 1.6 takes the logarithm of 1 - q also at q = 1, where -inf is right, and bounds its
    # domain with a list of orders that ends early, where a larger domain is as good.
    with np.errstate(divide="ignore"), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Optimal order is the")
        return min(bound, float(accountant.get_epsilon(delta)))


@lru_cache
def calibrate(*, epsilon: float, delta: float, sample_rate: float, steps: int) -> float:
    """The noise multiplier with which so many steps together cost at most epsilon, found by Opacus.

    They cost at least 0.999 epsilon.
    SettingError: even noise of a million times the sensitivity is not enough.
    """
    require.positive("epsilon", epsilon)
    _check_delta(delta)
    DpEvent(noise_multiplier=1.0, sample_rate=sample_rate, steps=steps)
    from opacus.accountants.utils import get_noise_multiplier

    usable = [order for order in ORDERS if order <= SERIES or sample_rate == 1]
    able = [order for order in usable if _least(order, delta) < epsilon]
    with warnings.catch_warnings():  # the orders fit the result, not every noise that is tried
        warnings.filterwarnings("ignore", "Optimal order is the")
        try:
            return get_noise_multiplier(
                target_epsilon=epsilon,
                target_delta=delta,
                sample_rate=sample_rate,
                steps=steps,
                epsilon_tolerance=epsilon / 1000,
                alphas=able,
            )
        except ValueError as error:
            raise SettingError(
                f"No noise keeps {steps} steps at sample rate {sample_rate:g} below epsilon "
                f"{epsilon:g} at delta {delta:g} ({error}). Raise epsilon or take fewer steps."
            ) from None


def _check_delta(delta: float) -> None:
    if not 0 < delta < 1:
        raise SettingError(f"delta must lie between 0 and 1, got {delta!r}.")


def _history(events: Iterable[DpEvent]) -> list[tuple[float, float, int]]:
    """(noise multiplier, sample rate, steps) as Opacus expects it, with equal events merged."""
    steps: Counter[tuple[float, float]] = Counter()
    for event in events:
        steps[event.noise_multiplier, event.sample_rate] += event.steps
    return [(*kind, number) for kind, number in sorted(steps.items())]


def _rdp(order: float, noise_multiplier: float, sample_rate: float, steps: int) -> float:
    """Renyi divergence of so many steps at one order."""
    if order > SERIES:
        sample_rate = 1.0  # an upper bound: sampling only helps
    return steps * _rdp_of_a_step(order, noise_multiplier, sample_rate)


@lru_cache(maxsize=1 << 14)
def _rdp_of_a_step(order: float, noise_multiplier: float, sample_rate: float) -> float:
    from opacus.accountants.analysis.rdp import compute_rdp

    found = compute_rdp(
        q=sample_rate, noise_multiplier=noise_multiplier, steps=1, orders=[float(order)]
    )
    return np.asarray(found).item()


def _least(order: float, delta: float) -> float:
    """What an order's RDP is raised by to become epsilon at delta, and so the least it can give.

    Balle et al. 2020 (arXiv:1905.09982), theorem 21.
    """
    return math.log1p(-1 / order) - (math.log(delta) + math.log(order)) / (order - 1)
