"""The noise of an encrypted sum, shared out over its sites: how much, in which steps, what room.

This is the distributed discrete Gaussian of Kairouz, Liu and Steinke 2021 (arXiv:2102.06387). Each
of n sites clips its update to length C, divides it by n and by a step, rounds it to integers r,
adds discrete Gaussian noise of sigma steps and then encrypts; only the sum is ever opened.

Adjacency. Two runs are adjacent if they differ in whether one site's update is there or is zero;
who takes part, the model that the round starts from and the site's own noise are in both.

Sensitivity. The sums of adjacent runs differ by that site's r alone. |r|^2 <= L is checked on the
integers themselves, after clipping, weighting and rounding, and rounding is repeated until it
holds. So the L2 sensitivity is sqrt(L) steps, whatever floating-point numbers did before.
(Replacing an update by another one: twice that.)

Noise. An attacker who controls c of the sites subtracts their c shares; of a roster of min_sites or
more at least h = min_sites - c remain. The sum of h discrete Gaussians is nearly one, and satisfies
the Renyi bound of a Gaussian of multiplier 1 / (sqrt(L) / (sqrt(h) sigma) + tau sqrt(d)) with tau =
10 sum over k < h of exp(-2 pi^2 sigma^2 k / (k + 1)) (their proposition 14). Further shares are
post-processing.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from src import require
from src.errors import SettingError
from src.model_vector import norm

FAILURE = 2.0**-40  # of delta: what a run keeps for fields that noise would overflow
SMALLEST_SIGMA = 4  # steps; from here on a sum of discrete Gaussians is one for all purposes
STEPS_TRIED = 64  # powers of two, from the one at which model and update alone fill the field


@dataclass(frozen=True, kw_only=True)
class SharedNoise:
    """The noise of a run, shared out over its sites.

    noise_multiplier: of what an attacker sees, over the sensitivity.
    epsilon: of the run.
    sites: n, the enrolled ones.
    contributors: h, the honest sites whose noise is counted on.
    values: d, the values that are noised in a round.
    rounds: in how many rounds noise is drawn at most.
    clip_norm: C.
    field: what a site may fill of a field, in steps.
    """

    noise_multiplier: float
    epsilon: float
    sites: int
    contributors: int
    values: int
    rounds: int
    clip_norm: float
    field: int

    def __post_init__(self) -> None:
        require.positive("noise_multiplier", self.noise_multiplier)
        require.positive("clip_norm", self.clip_norm)
        for name in ("sites", "values", "rounds", "field"):
            require.whole(name, getattr(self, name), at_least=1)
        if self.contributors < 2:
            raise SettingError(
                f"{self.contributors} sites' noise would have to hide one update: with min_sites "
                "and accomplices of this plan nothing can be guaranteed. At least 2 are needed."
            )

    @cached_property
    def reach(self) -> float:
        """Noise beyond so many sigma, anywhere in the run, has probability FAILURE at most.

        This follows from the discrete Gaussian's tail P(|x| >= t sigma) <= 2 exp(-t^2 / 2) (Canonne
        et al. 2020) over all values, sites and rounds. The event depends on the noise alone;
        refusing to send on it adds (1 + e^epsilon) times its probability to delta, and that stays
        below FAILURE.
        """
        draws = math.log(2.0 * self.values * self.sites * self.rounds)
        weight = float(np.logaddexp(0, self.epsilon))
        return math.sqrt(2 * (draws + weight - math.log(FAILURE)))

    def grid(self, largest: float) -> "Grid":
        """The finest steps with room for a model whose largest noised value is `largest`.

        They follow from the opened model and the plan alone, so they are the same at every site.
        SettingError: no step leaves room.
        """
        finest = math.floor(math.log2((largest + self.clip_norm) / self.sites / self.field))
        for exponent in range(finest, finest + STEPS_TRIED):
            found = self._grid(exponent)
            if found.fits(largest):
                if found.sigma < SMALLEST_SIGMA:
                    break
                return found
        raise SettingError(
            f"Noise of multiplier {self.noise_multiplier:.2f} on {self.values} values up to "
            f"{largest:.3g}, clipped at {self.clip_norm:g}, has no room in a field of "
            f"+-{self.field} steps a site. Take compression_pipeline.bits: 24, tune fewer values, "
            "raise clip_norm or epsilon."
        )

    def _grid(self, exponent: int) -> "Grid":
        clip = self.clip_norm / self.sites * 2.0**-exponent
        root = math.sqrt(self.values)
        # theorem 1, with probability exp(-1/2) of rounding beyond it
        bound = min((clip + root) ** 2, clip**2 + self.values / 4 + clip + root / 2)
        norm_squared = math.floor(bound)
        sigma = math.ceil(self.noise_multiplier * math.sqrt(norm_squared / self.contributors))
        sigma = max(sigma, 1)
        while self.multiplier(norm_squared, sigma) < self.noise_multiplier:
            sigma += 1
        return Grid(self, exponent, norm_squared, sigma)

    def multiplier(self, norm_squared: int, sigma: int) -> float:
        """The noise multiplier of what an attacker sees: the honest sites' shares, summed."""
        tau = 10 * sum(
            math.exp(-2 * math.pi**2 * sigma**2 * k / (k + 1)) for k in range(1, self.contributors)
        )
        spread = math.sqrt(self.contributors) * sigma
        return 1 / (math.sqrt(norm_squared) / spread + tau * math.sqrt(self.values))


@dataclass(frozen=True)
class Grid:
    """The steps of one round.

    exponent: a step is 2**exponent in model units.
    norm_squared: L, in steps.
    sigma: of one site's noise, in steps.
    """

    noise: SharedNoise
    exponent: int
    norm_squared: int
    sigma: int

    @property
    def scale(self) -> float:
        """How many steps a model value of 1 makes in a site's share of the mean."""
        return 2.0**-self.exponent / self.noise.sites

    def fits(self, largest: float) -> bool:
        """Whether model, update and noise stay within a site's part of the field."""
        model = largest * self.scale + 0.5
        update = min(self.noise.clip_norm * self.scale + 1, math.sqrt(self.norm_squared))
        return model + update + self.noise.reach * self.sigma <= self.noise.field

    def update(self, update: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """A site's clipped share of the update (d,) in whole steps, int64; its square sum is <= L.

        Values are rounded up or down at random, so that the mean is right; again until L holds,
        which one try achieves with probability 0.39 or more. An update that is not finite counts as
        zeros.
        """
        update = update.astype(np.float64)
        length = norm(update)
        if not math.isfinite(length):
            return np.zeros(len(update), np.int64)
        exact = update * (min(1.0, self.noise.clip_norm / max(length, 1e-300)) * self.scale)
        while True:
            whole = np.floor(exact + rng.random(len(exact))).astype(np.int64)
            if int(np.square(whole).sum()) <= self.norm_squared:
                return whole

    def within(self, values: np.ndarray) -> np.ndarray:
        """The values unchanged. OverflowError: one is beyond the field; it is never cut off."""
        largest = int(np.abs(values).max(initial=0))
        if largest > self.noise.field:
            raise OverflowError(
                f"A noised value of {largest} steps is beyond a site's {self.noise.field}. By the "
                "plan this has probability 2^-40 in a run; nothing was sent."
            )
        return values
