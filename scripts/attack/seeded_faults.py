"""The private training step as it is, and with one seeded fault at a time."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

from scripts.attack.canary_mechanism import LOUDNESS, train_on_canaries
from src.differential_privacy.dp_sgd import PatientDPSGD, private_gradient

EPSILON, DELTA = 1.0, 1e-5  # claimed; an audit by canaries has power for a small epsilon alone
CLIP_NORM = 1.0
CROPS = 4  # of a patient
SAMPLE_RATE, STEPS = 0.2, 5  # of the sampled configuration

# who is in (m,), number of the site, of the round; to what the round's result shows (m,)
Step = Callable[[np.ndarray, int, int], np.ndarray]


@dataclass(frozen=True)
class Subject:
    """One step to be examined.

    part: what is claimed.
    step: what is done.
    canaries, repeats: of its audit.
    faulty: whether it must be caught.
    """

    name: str
    part: PatientDPSGD
    step: Step
    canaries: int
    repeats: int = 1
    faulty: bool = True

    @property
    def deviation(self) -> float:
        """The standard deviation of the noise in a round's result, as claimed."""
        return multiplier(self.part) * self.part.clip_norm * self.part.steps**0.5


def subjects(canaries: int, repeats: int) -> list[Subject]:
    """The step without a fault first, then the faults.

    The audit takes `repeats` runs of so many canaries where it needs them. A plain fault shows with
    half or a quarter of one run, and a fault that the audit cannot see gets none.
    """
    half, few = canaries // 2, canaries // 4
    step, fewer = (claim(count, sample_rate=1.0, steps=1) for count in (canaries, few))
    sampled, halved = (claim(count) for count in (canaries, half))
    noise, less = multiplier(step), multiplier(sampled)
    unclipped = replace(fewer, clip_norm=LOUDNESS * CLIP_NORM)
    everybody = replace(halved, sample_rate=1.0)
    whole: dict[str, Any] = {"canaries": canaries, "repeats": repeats}
    return [
        Subject("as it is, one step", step, trained(step, noise), **whole, faulty=False),
        Subject(
            f"as it is, {STEPS} sampled steps",
            sampled,
            trained(sampled, less),
            canaries,
            faulty=False,
        ),
        Subject("no noise", fewer, trained(fewer, 0.0), few),
        Subject("noise divided by the batch", fewer, trained(fewer, noise / fewer.patients), few),
        Subject(f"{CROPS} crops counted as patients", step, trained(step, noise, CROPS), half),
        Subject("half the noise", step, trained(step, noise / 2), **whole),
        Subject("gradients not clipped", fewer, trained(unclipped, noise / LOUDNESS), few),
        Subject("everybody in every step", halved, trained(everybody, less), half),
        Subject("same noise in each round", fewer, partial(repeating, fewer, by_round=False), few),
        Subject("same noise at each site", fewer, partial(repeating, fewer, by_round=True), few),
    ]


def claim(canaries: int, sample_rate: float = SAMPLE_RATE, steps: int = STEPS) -> PatientDPSGD:
    """A part that claims EPSILON for one round."""
    return PatientDPSGD(
        epsilon=EPSILON,
        delta=DELTA,
        sample_rate=sample_rate,
        steps=steps,
        clip_norm=CLIP_NORM,
        patients=canaries // 2,
        crops=CROPS,
        spare_rounds=0,
    )


def trained(part: PatientDPSGD, noise: float, records: int = 1) -> Step:
    """The real training of one round, which does not depend on the numbers of site and round."""

    def step(included: np.ndarray, site: int, round_number: int) -> np.ndarray:
        norm = LOUDNESS * CLIP_NORM
        return train_on_canaries(part, included, noise_multiplier=noise, norm=norm, records=records)

    return step


def multiplier(part: PatientDPSGD) -> float:
    """The noise multiplier that the part's own calibration finds for its one round."""
    return part.a_round(1).noise_multiplier


def repeating(
    part: PatientDPSGD, included: np.ndarray, site: int, round_number: int, *, by_round: bool
) -> np.ndarray:
    """A step of `private_gradient` whose noise has a seed: the round's number, or else the site's.

    Either is right in itself, so an audit of one step finds nothing.
    """
    rng = np.random.default_rng([by_round, round_number if by_round else site])
    weight = nn.Parameter(torch.zeros(included.size))
    canary = torch.zeros(included.size)

    def gradient_of(number: int) -> list[torch.Tensor]:
        canary.zero_()
        canary[number] = LOUDNESS * part.clip_norm
        return [canary]

    private_gradient(
        [weight],
        np.flatnonzero(included).tolist(),
        gradient_of,
        clip_norm=part.clip_norm,
        noise_multiplier=multiplier(part),
        expected=1.0,
        normal=rng.standard_normal,
    )
    assert weight.grad is not None
    return weight.grad.numpy().astype(np.float64)
