"""Reported metrics: the numbers that leave a site beside the model.

A score of private cases is private, too. The part `task_runner.reported_metrics`; a plan with
differential privacy takes one of the last three.
"""

import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np

from src import require
from src.data.regions import REGIONS
from src.differential_privacy import accountant, gaussian
from src.differential_privacy.accountant import DpEvent
from src.differential_privacy.budget import Budget
from src.differential_privacy.mechanism import Mechanism
from src.plan.parts import Declares
from src.plan.plan import build
from src.plan.view import Plan

logger = logging.getLogger(__name__)

Metrics = dict[str, Any]
Part = Mapping[str, Any]
SPARE_VALIDATIONS = 1  # that the noise pays for: an interrupted round is counted again


class Measured(Protocol):
    """The validation of a model: scores of cases, and their summary for the aggregator."""

    def own(self) -> Sequence[Mapping[str, Any]]:
        """Scores of the site's own validation cases. The site itself always sees them."""
        ...

    def of(self, cases: Iterable[Any]) -> Sequence[Mapping[str, Any]]:
        """Scores of other cases."""
        ...

    def summary(self, scores: Sequence[Mapping[str, Any]]) -> Metrics:
        """The means of scores, as they leave."""
        ...


@dataclass(frozen=True)
class AllMetrics:
    """Report the mean loss, mean scores of the site's validation cases, and numbers of cases."""

    DECLARES: ClassVar = Declares(
        leaves="the mean loss of each round; mean Dice and HD95 of each region over the validation "
        "cases, never a single case's",
        spends=False,
        private=False,
        validated_on="each site's own validation cases",
    )

    def at_site(self, gate: Any, site: str, plan: Plan, data: Any) -> "AllMetrics":
        """The part is ready as it is."""
        return self

    def training(self, loss: float) -> Metrics:
        """What leaves after a round of training."""
        return {"loss": loss}

    def validation(self, measured: Measured, round_number: int) -> Metrics:
        """What leaves after a validation."""
        scores = measured.own()
        return measured.summary(scores) if scores else {}

    def cases(self, validation_cases: int) -> int:
        """The number of validation cases that is reported."""
        return validation_cases


@dataclass(frozen=True)
class NoMetrics(AllMetrics):
    """Report nothing beside the model. The site still sees the model's scores on its own cases."""

    DECLARES: ClassVar = Declares(
        leaves="no metric and no number of cases",
        spends=False,
        private=True,
        validated_on="nothing that may leave a site",
    )

    def training(self, loss: float) -> Metrics:
        """Nothing."""
        return {}

    def validation(self, measured: Measured, round_number: int) -> Metrics:
        """Nothing; the cases are scored for the site alone."""
        measured.own()
        return {}

    def cases(self, validation_cases: int) -> int:
        """The same number for every site."""
        return 1


@dataclass(frozen=True)
class PublicValidation(NoMetrics):
    """Report scores of public or synthetic cases, which reveal nothing beyond the model itself.

    public: a part with `cases()`, the same at every site (`src.data.public_cases.SyntheticCases`).
    """

    DECLARES: ClassVar = Declares(
        leaves="mean scores of public validation cases; nothing of the site's own",
        spends=False,
        private=True,
        validated_on="public cases, the same at every site",
        same_everywhere=True,
    )

    public: Part

    def at_site(self, gate, site, plan, data) -> "PublicValidation":
        """Build the cases' part now, so that a wrong one is refused before a round of training."""
        build(self.public)
        return self

    def validation(self, measured: Measured, round_number: int) -> Metrics:
        """Scores of the public cases; the site's own are scored for the site alone."""
        measured.own()
        return measured.summary(list(measured.of(build(self.public).cases())))


@dataclass(frozen=True, kw_only=True)
class NoisyDice(NoMetrics, Mechanism):
    """Report the mean Dice of the site's own validation patients with Gaussian noise, booked.

    epsilon, delta: for all validations of the run together. Validation patients are not training
        patients, so this does not add to what training spends.
    patients: the public number by which the noised sums are divided.
    budget: as in `PatientDPSGD`.
    The L2 sensitivity is sqrt(3): a patient's Dice of the three regions, each between 0 and 1 (the
    mean over several scans), is one summand of each sum.
    """

    DECLARES: ClassVar = Declares(
        leaves="mean Dice of the validation patients with noise, booked in the ledger",
        spends=True,
        private=True,
        validated_on="each site's own validation patients, with noise",
    )

    patients: int

    def __post_init__(self) -> None:
        super().__post_init__()
        require.whole("patients", self.patients, at_least=1)

    def releases(self, rounds: int) -> int:
        """Each round validates the model that it starts from; one more, the final model."""
        return rounds + 1

    def a_round(self, rounds: int) -> DpEvent:
        """The DP event of one validation."""
        multiplier = accountant.calibrate(
            epsilon=self.epsilon,
            delta=self.delta,
            sample_rate=1.0,
            steps=self.releases(rounds) + SPARE_VALIDATIONS,
        )
        return DpEvent(noise_multiplier=multiplier)

    def describe(self, rounds: int) -> str:
        """The guarantee in words, as a hospital signs it."""
        spread = self.a_round(rounds).noise_multiplier * math.sqrt(len(REGIONS)) / self.patients
        validations = self.releases(rounds)
        return (
            f"validation Dice: epsilon {self.epsilon:g} at delta {self.delta:g} per validation "
            f"patient over {validations} validations; each mean carries noise of {spread:.3f}"
        )

    def at_site(self, gate, site, plan, data) -> "BookedDice":
        """Open the ledger of the validation patients.

        BudgetSpent: the ledger cannot pay for one validation.
        """
        rounds = plan.rounds
        budget = Budget.open(
            gate,
            site,
            data.identifiers("validation"),
            a_round=self.a_round(rounds),
            unit="patient",
            epsilon=self.allowed,
            delta=self.delta,
            rounds=self.releases(rounds),
            when_spent="leave",
            what="noised validation scores",
        )
        return BookedDice(self.patients, budget)


@dataclass(frozen=True)
class BookedDice(NoMetrics):
    """`NoisyDice` at a site. If the ledger does not pay, nothing leaves."""

    patients: int
    budget: Budget

    def validation(self, measured: Measured, round_number: int) -> Metrics:
        """The noised Dice by region, and their mean."""
        sums = patient_sums(measured.own())
        if not self.budget.pays():
            logger.warning("Round %d: the budget does not pay for a noised Dice.", round_number)
            return {}
        self.budget.book(round_number)
        scale = self.budget.a_round.noise_multiplier * math.sqrt(len(sums))
        noised = np.array(list(sums.values())) + scale * gaussian.standard_normal(len(sums))
        dice = dict(zip(sums, (noised / self.patients).tolist(), strict=True))
        return {"dice": dice | {"mean": float(np.mean(list(dice.values())))}}


def patient_sums(scores: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """By region, the sum over patients of each one's mean Dice; a patient adds at most 1."""
    by_patient: dict[str, list[Mapping[str, float]]] = {}
    for score in scores:
        by_patient.setdefault(score["patient_id"], []).append(score["dice"])
    return {
        region: sum(
            float(np.clip(np.mean([dice[region] for dice in scans]), 0, 1))
            for scans in by_patient.values()
        )
        for region in REGIONS
    }
