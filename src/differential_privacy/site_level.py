"""Differential privacy per site: each update is clipped, and its noise is added before encryption.

The part `compression_pipeline.noise`. The guarantee: nobody can tell from what is decrypted whether
a site's training has moved the model, up to epsilon and delta. It holds against the other sites (up
to `accomplices` together, who know their own noise) and against everybody who gets the model;
towards the aggregator, which relays the encrypted updates, it is as strong as the encryption. It
assumes that the other sites add their noise. `src.differential_privacy.distributed_noise` has the
mathematics.
"""

import logging
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from src import require
from src.differential_privacy import accountant
from src.differential_privacy.accountant import DpEvent
from src.differential_privacy.budget import WHEN_SPENT, Budget
from src.differential_privacy.discrete_gaussian import discrete_gaussian
from src.differential_privacy.distributed_noise import FAILURE, Grid, SharedNoise
from src.differential_privacy.feasibility import enough, feasibility
from src.differential_privacy.mechanism import Mechanism
from src.errors import SettingError
from src.plan.parts import Declares
from src.plan.view import Plan
from src.secure_aggregation.fixed_point import FixedPoint, share_of_field
from src.secure_aggregation.settings import Encryption

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class SiteDP(Mechanism):
    """The settings of differential privacy per site.

    epsilon, delta: what the whole run may spend of a site's privacy.
    clip_norm: longest update (trained model - opened model) over the trainable values, in model
        units.
    trainable: which parameters move (`src.trainable`); None: all. What training has moved elsewhere
        stays at the site.
    budget: epsilon that all runs may spend of a site; None: this run's.
    when_spent: "leave" (the site goes on listening, the others go on) or "stop" (the run ends).
    """

    DECLARES: ClassVar = Declares(
        leaves="of the model only the trainable values, clipped and noised; no number of cases: "
        "every site weighs the same",
        spends=True,
    )

    clip_norm: float
    trainable: tuple[str, ...] | None = None
    when_spent: str = "leave"

    def __post_init__(self) -> None:
        super().__post_init__()
        require.in_range("delta", self.delta, 1e-10, 0.01)
        require.positive("clip_norm", self.clip_norm)
        require.one_of("when_spent", self.when_spent, WHEN_SPENT)
        if self.trainable is not None:
            object.__setattr__(self, "trainable", tuple(self.trainable))

    def check(self, encryption: Encryption) -> None:
        """SettingError if the guarantee would not hold with these settings of the encryption."""
        if encryption.most_cases != 1 or encryption.cases:
            raise SettingError(
                "noise: every site must weigh the same, or a larger site's update would stand out "
                "of noise that is measured for the mean. Set most_cases: 1 and omit cases."
            )
        if encryption.accomplices < 1:
            raise SettingError(
                "noise: accomplices must be 1 or more: every site knows its own noise, and can "
                "subtract it."
            )

    def a_round(self, encryption: Encryption, rounds: int) -> DpEvent:
        """The DP event of one round."""
        multiplier = accountant.calibrate(
            epsilon=self.epsilon,
            delta=self.delta - FAILURE,
            sample_rate=1.0,
            steps=bookings(encryption, self.releases(rounds)),
        )
        return DpEvent(noise_multiplier=multiplier)

    def shared(self, encryption: Encryption, sites: int, rounds: int, values: int) -> SharedNoise:
        """The noise for so many enrolled sites, training rounds and trainable values.

        SettingError: there are too few sites for the guarantee, or too many for the fields.
        """
        return SharedNoise(
            noise_multiplier=self.a_round(encryption, rounds).noise_multiplier,
            epsilon=self.epsilon,
            sites=sites,
            contributors=encryption.needed(sites) - encryption.accomplices,
            values=values,
            rounds=bookings(encryption, self.releases(rounds)),
            clip_norm=self.clip_norm,
            field=share_of_field(encryption.bits, 1, sites),
        )

    def warnings(self, shared: SharedNoise, plan: Plan) -> list[str]:
        """Sentences that an engineer should read before the run."""
        found = []
        multiplier, values = shared.noise_multiplier, shared.values
        here = feasibility(multiplier, values, shared.sites, shared.contributors)
        if not here.worthwhile:
            needed = enough(multiplier, values)
            found.append(
                f"{shared.sites} sites are too few to learn anything with this privacy: in each "
                f"round the noise of the mean is {here.noise:.1f} times as long as the longest "
                f"update ({values} trainable values, epsilon {self.epsilon:g}); about {needed} "
                f"sites "
                "would be enough. Tune fewer values, or take privacy per patient (plan/dp.yaml)."
            )
        words = plan.trainable
        if plan.runner.get("local") and set(words or ()) != set(self.trainable or ()):
            found.append(
                f"task_runner.local tunes {_listed(words)}, compression_pipeline.noise "
                f"{_listed(self.trainable)}: what only one of them names is trained in vain."
            )
        return found

    def at_site(
        self,
        gate: Any,
        site: str,
        plan: Plan,
        data: Any,
        shared: SharedNoise,
        trainable: Sequence[bool],
    ) -> "SiteNoise":
        """Open this site's ledger, and return what encodes its updates.

        trainable: for each tensor, whether it is.
        BudgetSpent: the ledger does not pay for one round.
        """
        for warning in self.warnings(shared, plan):
            logger.warning(warning)
        budget = Budget.open(
            gate,
            site,
            data.identifiers("training"),
            a_round=DpEvent(noise_multiplier=shared.noise_multiplier),
            unit="site",
            epsilon=self.allowed,
            delta=self.delta - FAILURE,
            rounds=plan.rounds,
            when_spent=self.when_spent,
            what="a noised update",
        )
        return SiteNoise(shared, tuple(trainable), budget)

    def describe(self, rounds: int) -> str:
        """The guarantee in words, as a hospital signs it."""
        return (
            f"differential privacy per site: epsilon {self.epsilon:g} at delta {self.delta:g} over "
            f"{rounds} rounds, void ones included, updates clipped at {self.clip_norm:g}; against "
            "other sites and whoever gets the model; if the other sites add their noise; booked in "
            f"the site's ledger, which refuses beyond epsilon {self.allowed:g}"
        )


class SiteNoise:
    """What encodes a site's updates in a run with noise.

    shared: the noise of the run.
    trainable: for each tensor, whether it is.
    """

    def __init__(self, shared: SharedNoise, trainable: Sequence[bool], budget: Budget) -> None:
        self.shared = shared
        self.trainable = np.asarray(trainable, bool)  # (T,)
        self.budget = budget

    def grid(self, fixed: FixedPoint, opened: np.ndarray) -> Grid:
        """The steps of the trainable values for a round that starts from `opened`.

        SettingError: no step leaves room.
        """
        return self.shared.grid(float(np.abs(opened[self._where(fixed)]).max()))

    def _where(self, fixed: FixedPoint) -> np.ndarray:
        return np.repeat(self.trainable, fixed.sizes)  # (P,)

    def encode(
        self, fixed: FixedPoint, opened: np.ndarray, model: np.ndarray, round_number: int
    ) -> np.ndarray:
        """Book the round, then encode it as slots (S,) uint64.

        Trainable values become the opened model plus the clipped update plus noise, all others the
        opened model alone. Nothing of the round may be sent if this raises.
        BudgetSpent: the ledger does not pay.
        SettingError: there is no room for the noise.
        OverflowError: see `Grid.within`.
        """
        where, grid = self._where(fixed), self.grid(fixed, opened)
        exponents = np.where(self.trainable, grid.exponent, fixed.exponents(opened))
        values = fixed.whole(opened, exponents, self.shared.sites)
        moved = model[where].astype(np.float64) - opened[where]
        if not np.isfinite(moved).all():
            logger.warning("Round %d: the update is not finite and counts as zero.", round_number)
        update = grid.update(moved, np.random.default_rng(list(os.urandom(32))))
        self.budget.book(round_number)
        noised = values[where] + update + discrete_gaussian(grid.sigma, len(update))
        values[where] = grid.within(noised)
        return fixed.pack(values, exponents, cases=1)


def bookings(encryption: Encryption, rounds: int) -> int:
    """How many rounds the noise is calibrated for: `max_void` more than are trained.

    A void round spends as much as any other, and so does a round that is booked again after a
    crash.
    """
    return rounds + encryption.max_void


def _listed(words: Iterable[str] | None) -> str:
    return ", ".join(words) if words else "everything"
