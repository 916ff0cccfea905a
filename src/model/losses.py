"""The sum of soft Dice and binary cross-entropy, for each sample and each region independently.

Dice: Milletari et al. 2016 (arXiv:1606.04797). The independence of samples matters for privacy: a
    Dice summed over the batch lets one patient's gradient depend on another patient, and
    per-patient clipping then bounds nothing.
"""

import torch
from torch import nn
from torch.nn import functional

from src import require
from src.plan.parts import Declares

VOXEL_AXES = (2, 3, 4)


class DiceBCE(nn.Module):
    """The mean over samples and regions of (1 - soft Dice) + `bce_weight` * cross-entropy.

    smooth: voxels added to numerator and denominator of Dice, so that an empty region that is
        predicted empty costs 0 and its gradient stays finite.
    """

    DECLARES = Declares(per_patient=True)  # no term ties samples together

    def __init__(self, smooth: float = 1.0, bce_weight: float = 1.0) -> None:
        super().__init__()
        require.positive("smooth", smooth)
        require.not_negative("bce_weight", bce_weight)
        self.smooth = smooth
        self.bce_weight = bce_weight

    def forward(self, logits: torch.Tensor, regions: torch.Tensor) -> torch.Tensor:
        """A scalar for logits and regions (B, 3, X, Y, Z); regions are 0 or 1."""
        require.same_shape("regions", tuple(regions.shape), tuple(logits.shape))
        probabilities = torch.sigmoid(logits)
        overlap = (probabilities * regions).sum(VOXEL_AXES)  # (B, 3)
        volume = probabilities.sum(VOXEL_AXES) + regions.sum(VOXEL_AXES)
        dice = (2 * overlap + self.smooth) / (volume + self.smooth)
        cross_entropy = functional.binary_cross_entropy_with_logits(logits, regions)
        return 1 - dice.mean() + self.bce_weight * cross_entropy
