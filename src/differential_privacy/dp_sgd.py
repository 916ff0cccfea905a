"""DP-SGD per patient: each patient's gradient is clipped, and noise is added to their sum.

Abadi et al. 2016 (doi:10.1145/2976749.2978318), with the patient as the privacy unit: all scans,
time points, crops and augmentations of one person are one record. Adjacency: the site's training
set holds one patient more or fewer. Since the split of a private plan assigns each patient
independently of the others, this is one patient of the site more or fewer. A step is

    S ~ Poisson(q) over patients
    g_i = mean over patient i's crops of the gradient
    theta <- optimiser( (sum over S of g_i min(1, C / |g_i|) + N(0, (z C)^2)) / (q P) )

where q, C, z, the number of steps and P, a public number in place of the site's own count, all come
from the plan. Gradients are taken patient by patient in plain autograd: for 3D patches this is the
cheapest way (`scripts benchmark private-step`), and no layer or loss can couple two patients.
"""

import math
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, TypeVar

import numpy as np
import torch
from torch import nn

from src import require
from src.differential_privacy import accountant, gaussian
from src.differential_privacy.accountant import DpEvent
from src.differential_privacy.budget import WHEN_SPENT, Budget
from src.differential_privacy.independence import refuse_coupling
from src.differential_privacy.mechanism import Mechanism
from src.plan.parts import Declares
from src.plan.view import Plan
from src.trainable import trainable_names

T = TypeVar("T")
SLACK = 1 - 1e-6  # float32 sums of clipped gradients stay within the norm


class Patients(Protocol):
    """What training needs of a site's data (`src.data.site_cases` has it)."""

    patients: Sequence[Any]

    def patient_crops(
        self, patient: Any, crops: int, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]: ...
    def identifiers(self, part: str) -> list[str]: ...


def private_gradient(
    parameters: Sequence[nn.Parameter],
    sampled: Iterable[T],
    gradient_of: Callable[[T], Sequence[torch.Tensor]],
    *,
    clip_norm: float,
    noise_multiplier: float,
    expected: float,
    normal: Callable[[int], np.ndarray] = gaussian.standard_normal,
) -> list[float]:
    """Set the parameters' `grad` to the noised mean of clipped gradients.

    The result is the norms of the gradients before clipping.

    sampled: this step's patients; if nobody was sampled, the step is pure noise.
    gradient_of: gives one patient's gradient. One that is not finite counts as zero.
    expected: the expected number of sampled patients, which is public.
    normal: draws so many standard normal numbers.
    """
    sums = [torch.zeros_like(parameter) for parameter in parameters]
    norms = []
    for patient in sampled:
        gradients = gradient_of(patient)
        norm = math.sqrt(sum(float(g.double().square().sum()) for g in gradients))
        norms.append(norm)
        if math.isfinite(norm):
            scale = min(1.0, SLACK * clip_norm / max(norm, 1e-12))
            for total, gradient in zip(sums, gradients, strict=True):
                total.add_(gradient, alpha=scale)
    drawn = torch.from_numpy(normal(sum(total.numel() for total in sums)))
    drawn = (drawn * (noise_multiplier * clip_norm)).split([total.numel() for total in sums])
    for parameter, total, part in zip(parameters, sums, drawn, strict=True):
        noised = total.double() + part.reshape(total.shape).to(total.device)
        parameter.grad = (noised / expected).to(parameter.dtype)
    return norms


@dataclass(frozen=True, kw_only=True)
class PatientDPSGD(Mechanism):
    """The settings of DP-SGD per patient; the part `task_runner.local` of a private plan.

    epsilon, delta: what the whole run may spend of each patient's privacy.
    sample_rate: q.
    steps: of one round.
    clip_norm: C.
    patients: P, the same at every site.
    crops: of one patient in a step.
    learning_rate: of round 0; round r uses learning_rate * decay**r.
    trainable: which parameters move (`src.trainable`); None: all.
    spare_rounds: further rounds that the noise is calibrated for, since an interrupted round is
        counted again.
    budget: epsilon that all runs may spend of a patient; None: this run's.
    when_spent: "leave" (the site goes on listening, the others go on) or "stop" (the run ends).
    """

    DECLARES: ClassVar = Declares(
        leaves="a model trained with differential privacy per patient; no number of cases: every "
        "site weighs the same",
        spends=True,
    )

    sample_rate: float
    steps: int
    clip_norm: float
    patients: int
    crops: int = 2
    learning_rate: float = 0.05
    decay: float = 1.0
    momentum: float = 0.0
    trainable: tuple[str, ...] | None = None
    spare_rounds: int = 1
    when_spent: str = "leave"

    def __post_init__(self) -> None:
        super().__post_init__()
        require.in_range("sample_rate", self.sample_rate, 1e-4, 1.0)
        require.whole("steps", self.steps, at_least=1)
        require.positive("clip_norm", self.clip_norm)
        require.whole("patients", self.patients, at_least=1)
        require.whole("crops", self.crops, at_least=1)
        require.positive("learning_rate", self.learning_rate)
        require.in_range("decay", self.decay, 0.1, 1.0)
        require.in_range("momentum", self.momentum, 0.0, 0.999)
        require.whole("spare_rounds", self.spare_rounds)
        require.one_of("when_spent", self.when_spent, WHEN_SPENT)
        if self.trainable is not None:
            object.__setattr__(self, "trainable", tuple(self.trainable))

    def a_round(self, rounds: int) -> DpEvent:
        """The DP event of one round, of so many."""
        multiplier = accountant.calibrate(
            epsilon=self.epsilon,
            delta=self.delta,
            sample_rate=self.sample_rate,
            steps=self.steps * (self.releases(rounds) + self.spare_rounds),
        )
        return DpEvent(noise_multiplier=multiplier, sample_rate=self.sample_rate, steps=self.steps)

    def describe(self, rounds: int) -> str:
        """The guarantee in words, as a hospital signs it."""
        event = self.a_round(rounds)
        return (
            f"differential privacy per patient (all scans of a person): epsilon {self.epsilon:g} "
            f"at delta {self.delta:g} over {rounds} rounds of {self.steps} steps and "
            f"{self.spare_rounds} spare, sample rate {self.sample_rate:g}, noise multiplier "
            f"{event.noise_multiplier:.3f}, clipped at {self.clip_norm:g}; booked in the site's "
            f"ledger, which refuses beyond epsilon {self.allowed:g}"
        )

    def at_site(self, gate: Any, site: str, plan: Plan, data: Any) -> "PrivateTraining":
        """Open this site's ledger, and return what can train.

        BudgetSpent: the ledger cannot pay for one round.
        """
        rounds = plan.rounds
        budget = Budget.open(
            gate,
            site,
            data.identifiers("training"),
            a_round=self.a_round(rounds),
            unit="patient",
            epsilon=self.allowed,
            delta=self.delta,
            rounds=rounds,
            when_spent=self.when_spent,
        )
        return PrivateTraining(self, budget)

    def train(
        self,
        model: nn.Module,
        data: Patients,
        *,
        noise_multiplier: float,
        loss: nn.Module,
        algorithm: Any,
        compute: Any,
        round_number: int,
        on_step: Callable[[int], None] = lambda done: None,
    ) -> float:
        """Train `model` in place for one round.

        The result is the mean loss over the sampled patients, NaN if none was sampled. Nothing is
        booked: a site trains through `at_site`. The sample and the crops are drawn from the
        operating system. An algorithm's own term, which does not depend on data, is added after the
        noise.
        """
        names = trainable_names(model, self.trainable)
        parameters = [p for name, p in model.named_parameters() if name in names]
        learning_rate = self.learning_rate * self.decay**round_number
        optimiser = torch.optim.SGD(parameters, learning_rate, momentum=self.momentum)
        rng = np.random.default_rng(list(os.urandom(32)))
        losses: list[float] = []

        def gradient_of(patient: Any) -> Sequence[torch.Tensor]:
            images, regions = data.patient_crops(patient, self.crops, rng)
            with compute.autocast():
                logits = model(compute.tensor(images))
            value = loss(logits.float(), compute.tensor(regions))
            losses.append(float(value.detach()))
            return torch.autograd.grad(value, parameters)

        model.train()
        algorithm.begin_round(model, round_number)
        for step in range(1, self.steps + 1):
            chosen = np.flatnonzero(gaussian.uniform(len(data.patients)) <= self.sample_rate)
            optimiser.zero_grad()
            private_gradient(
                parameters,
                [data.patients[i] for i in chosen],
                gradient_of,
                clip_norm=self.clip_norm,
                noise_multiplier=noise_multiplier,
                expected=self.sample_rate * self.patients,
            )
            algorithm.adjust_gradients(model)
            optimiser.step()
            algorithm.after_step(model, optimiser)
            on_step(step)
        algorithm.end_round(model, self.steps, learning_rate)
        return float(np.mean(losses)) if losses else math.nan


@dataclass
class PrivateTraining:
    """Local training that spends privacy: a round is booked before its first noise is drawn."""

    settings: PatientDPSGD
    budget: Budget
    _checked: bool = field(default=False, init=False)

    def steps_for(self, cases: int) -> int:
        """Optimiser steps of a round, whatever the number of cases."""
        return self.settings.steps

    def weight(self, cases: int) -> int:
        """The site's weight in the mean: the same for every site, so that no count leaves."""
        return 1

    def run(self, model: nn.Module, data: Patients, *, loss: nn.Module, **how: Any) -> float:
        """Book the round, then train as `PatientDPSGD.train` does.

        Nothing is trained if this raises.
        BudgetSpent: the ledger does not pay for this round.
        SettingError: the network or the loss couples patients.
        """
        how.pop("rng", None)  # of the plan's seed
        if not self._checked:
            refuse_coupling(model, loss)
            self._checked = True
        self.budget.book(how["round_number"])
        multiplier = self.budget.a_round.noise_multiplier
        return self.settings.train(model, data, noise_multiplier=multiplier, loss=loss, **how)
