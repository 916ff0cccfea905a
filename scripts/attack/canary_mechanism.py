"""Canaries for DP-SGD: patients whose gradient is a single coordinate, in the real training.

Canary i pulls coordinate i of a network that has nothing else, and pulls it harder than the clip
norm allows. `PatientDPSGD.train` samples, clips, adds, noises and steps as at a site; how far a
coordinate has moved tells the auditor whether its canary was in. Real patients' gradients overlap,
and so are harder to tell apart than these.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from src.differential_privacy.dp_sgd import PatientDPSGD
from src.training.compute import Compute
from src.training.fedavg import FedAvg

LOUDNESS = 10.0  # a canary's gradient in clip norms, so that the clipping is tried too


class Coordinates(nn.Module):
    """A network with one weight for each canary; its output for canary i is weight i."""

    def __init__(self, canaries: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(canaries, 1))

    def forward(self, numbers: torch.Tensor) -> torch.Tensor:
        """(B, 1) for canaries int64 (B,). The gradient is sparse, or m canaries would cost m^2."""
        return functional.embedding(numbers, self.weight, sparse=True)


class Pull(nn.Module):
    """A loss that falls by `norm` for each unit by which a canary's weight rises."""

    def __init__(self, norm: float) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, outputs: torch.Tensor, regions: torch.Tensor) -> torch.Tensor:
        return -self.norm * outputs.mean()


class CanarySite:
    """The canaries that are in, as if they were a site's patients."""

    def __init__(self, patients: Sequence[int]) -> None:
        self.patients = patients

    def patient_crops(
        self, patient: int, crops: int, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """The canary itself, whatever the number of crops."""
        return np.full(crops, patient), np.zeros(crops, np.float32)

    def identifiers(self, part: str) -> list[str]:
        """None: canaries are nobody."""
        return []


def train_on_canaries(
    part: PatientDPSGD,
    included: np.ndarray,
    *,
    noise_multiplier: float,
    norm: float,
    records: int = 1,
) -> np.ndarray:
    """The noised sum of clipped gradients of one round, float64 (m,), as its result shows it.

    included: bool (m,), which canaries are in.
    norm: of a canary's gradient.
    records: how often each canary stands in the site's list. More than once is a fault, whose
        effect is measured in this way.
    """
    network = Coordinates(len(included))
    part.train(
        network,
        CanarySite(np.repeat(np.flatnonzero(included), records).tolist()),
        noise_multiplier=noise_multiplier,
        loss=Pull(norm),
        algorithm=FedAvg(),
        compute=Compute("cpu", "fp32"),
        round_number=0,
    )
    moved = network.weight.detach().numpy()[:, 0].astype(np.float64)
    return moved * (part.sample_rate * part.patients / part.learning_rate)
