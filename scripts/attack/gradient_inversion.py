"""Gradient inversion: recover a patient's images and label from an update learnt from them.

The attack searches for images and a label whose gradient points in the direction of the update: it
minimises 1 - cosine plus a price on roughness, by Adam on the gradient's sign (Geiping et al. 2020,
arXiv:2003.14053; the label is searched for as well, as in Zhu et al. 2019, arXiv:1906.08935). More
iterations sharpen the result; larger patches and batches, more steps and a trained network blunt
it. So a picture that comes out is a leak, and one that does not is no proof of safety.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from src import require
from src.data.case import SEQUENCES
from src.data.regions import REGIONS
from src.evaluation.metrics import dice

INSIDE = 0.5  # probability from which a voxel counts to a region


@dataclass(frozen=True, kw_only=True)
class Attack:
    """The settings of the search.

    iterations: how many.
    step: of Adam, falling to 0 along a cosine.
    smoothness: weight of the total variation of images and label, against the cosine distance.
    """

    iterations: int = 200
    step: float = 0.1
    smoothness: float = 0.05

    def __post_init__(self) -> None:
        require.whole("iterations", self.iterations, at_least=1)
        require.positive("step", self.step)
        require.not_negative("smoothness", self.smoothness)


@dataclass(frozen=True)
class Guess:
    """What the search has found.

    images: float32 (4, X, Y, Z).
    regions: bool (3, X, Y, Z).
    distance: 1 - cosine at the end.
    """

    images: np.ndarray
    regions: np.ndarray
    distance: float


def invert(
    network: nn.Module,
    loss: nn.Module,
    target: Sequence[torch.Tensor],
    shape: tuple[int, int, int],
    *,
    attack: Attack,
    rng: np.random.Generator,
    on_iteration: Callable[[int], None] = lambda done: None,
) -> Guess:
    """The patch of this shape that may have moved the network this way.

    network: with the weights from before the update.
    target: a gradient, one tensor for each parameter, or anything that is read as one; only its
        direction counts.
    rng: of the first guess.
    """
    parameters = list(network.parameters())
    length = torch.sqrt(sum_of_squares(target))
    start = rng.normal(0, 0.3, (1, len(SEQUENCES), *shape)).astype(np.float32)
    images = torch.from_numpy(start).requires_grad_()
    logits = torch.zeros(1, len(REGIONS), *shape, requires_grad=True)
    optimiser = torch.optim.Adam([images, logits], attack.step)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, attack.iterations)
    distance = torch.ones(())
    for done in range(1, attack.iterations + 1):
        probabilities = torch.sigmoid(logits)
        value = loss(network(images), probabilities)
        found = torch.autograd.grad(value, parameters, create_graph=True)
        along = torch.stack([(f * t).sum() for f, t in zip(found, target, strict=True)]).sum()
        distance = 1 - along / (torch.sqrt(sum_of_squares(found)) * length + 1e-12)
        roughness = total_variation(images) + total_variation(probabilities)
        wanted = distance + attack.smoothness * roughness
        images.grad, logits.grad = torch.autograd.grad(wanted, [images, logits])
        images.grad.sign_()
        optimiser.step()
        schedule.step()
        on_iteration(done)
    return Guess(
        images.detach()[0].numpy(),
        (torch.sigmoid(logits.detach()[0]) >= INSIDE).numpy(),
        float(distance.detach()),
    )


def sum_of_squares(tensors: Sequence[torch.Tensor]) -> torch.Tensor:
    """The sum over all values of all tensors."""
    return torch.stack([tensor.square().sum() for tensor in tensors]).sum()


def total_variation(images: torch.Tensor) -> torch.Tensor:
    """The mean difference between neighbours along X, Y and Z, of (B, C, X, Y, Z)."""
    along = [images.diff(dim=axis).abs().mean() for axis in (2, 3, 4)]
    return torch.stack(along).sum()


def likeness(guess: Guess, images: np.ndarray, regions: np.ndarray) -> dict[str, object]:
    """How like the truth a guess is: correlation of voxels by sequence, PSNR in dB, Dice by region.

    images: (4, X, Y, Z). regions: bool (3, X, Y, Z). A flat guess has correlation 0; PSNR refers to
        the truth's range.
    """
    pairs = zip(SEQUENCES, guess.images, images, strict=True)
    correlation = {name: _correlation(found, true) for name, found, true in pairs}
    error = float(np.mean(np.square(guess.images - images), dtype=np.float64))
    peak = float(images.max() - images.min())
    overlap = zip(REGIONS, guess.regions, regions.astype(bool), strict=True)
    return {
        "correlation": correlation | {"mean": float(np.mean(list(correlation.values())))},
        "psnr_db": 10 * float(np.log10(peak**2 / max(error, 1e-12))),
        "dice": {region: float(dice(found, true)) for region, found, true in overlap},
        "distance": guess.distance,
    }


def _correlation(found: np.ndarray, true: np.ndarray) -> float:
    if not found.std() or not true.std():
        return 0.0
    return float(np.corrcoef(found.ravel(), true.ravel())[0, 1])
