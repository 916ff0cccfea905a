"""Whole-case prediction: in one pass where the case fits, else by sliding windows (MONAI).

One pass over the brain's box costs about a sixth of overlapping windows. GroupNorm's statistics are
then those of the whole box instead of a patch; the validation Dice is measured that way, too.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch.nn import functional

from src import require


class Network(Protocol):
    """What prediction needs of a network. Spatial sizes must be multiples of `multiple`."""

    multiple: int

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Logits (B, 3, X, Y, Z) for images (B, 4, X, Y, Z)."""
        ...

    def eval(self) -> object:
        """Leave training mode."""
        ...

    def parameters(self) -> Iterator[torch.nn.Parameter]:
        """The weights, which tell on which device the network is."""
        ...


@dataclass(frozen=True)
class Inferer:
    """How whole cases are predicted.

    one_pass_voxels: the largest case, in voxels, that is predicted in one pass.
    window, overlap: size and overlap of the sliding windows (Gaussian-weighted) above that.
    threshold: the probability from which a voxel belongs to a region.
    """

    one_pass_voxels: int = 4_500_000
    window: tuple[int, int, int] = (128, 128, 128)
    overlap: float = 0.25
    threshold: float = 0.5

    def __post_init__(self) -> None:
        require.whole("one_pass_voxels", self.one_pass_voxels)
        require.in_range("overlap", self.overlap, 0.0, 0.9)
        require.in_range("threshold", self.threshold, 0.0, 1.0)

    def predict(self, model: Network, images: np.ndarray) -> np.ndarray:
        """Regions bool (3, X, Y, Z) for preprocessed images (4, X, Y, Z) of any size."""
        device = next(model.parameters()).device
        model.eval()
        with torch.inference_mode():
            batch = torch.from_numpy(np.array(images, np.float32))[None].to(device)
            padded = pad_to_multiple(batch, model.multiple)
            if padded[0, 0].numel() <= self.one_pass_voxels:
                logits = model(padded)
            else:
                logits = self._by_windows(model, padded)
        probabilities = torch.sigmoid(logits[0].float())
        x, y, z = images.shape[1:]
        return (probabilities[:, :x, :y, :z] >= self.threshold).cpu().numpy()

    def _by_windows(self, model: Network, batch: torch.Tensor) -> torch.Tensor:
        from monai.inferers import sliding_window_inference

        logits = sliding_window_inference(
            batch, self.window, 2, model, overlap=self.overlap, mode="gaussian"
        )
        return torch.as_tensor(logits)


def pad_to_multiple(batch: torch.Tensor, multiple: int) -> torch.Tensor:
    """Append zeros so that each of X, Y, Z is a multiple of `multiple`."""
    missing = [-length % multiple for length in batch.shape[2:]]
    return functional.pad(batch, [0, missing[2], 0, missing[1], 0, missing[0]])
