"""The loss: by hand, against MONAI, and sample by sample."""

import pytest
import torch
from monai.losses import DiceLoss

from src.errors import InputError
from src.model.losses import DiceBCE


def example(batch: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    logits = torch.randn(batch, 3, 6, 5, 4, generator=g, dtype=torch.float64)
    regions = (torch.rand(batch, 3, 6, 5, 4, generator=g) > 0.7).double()
    return logits, regions


def test_by_hand():
    # one voxel, probability 1/2, in the region: Dice = (2 * 0.5 + 1) / (1.5 + 1) = 0.8, BCE = ln 2
    logits, regions = torch.zeros(1, 1, 1, 1, 1), torch.ones(1, 1, 1, 1, 1)
    assert DiceBCE()(logits, regions).item() == pytest.approx(1 - 0.8 + 0.693147, abs=1e-6)


def test_the_dice_part_equals_monais():
    logits, regions = example(3)
    monai = DiceLoss(sigmoid=True, smooth_nr=1.0, smooth_dr=1.0, batch=False)(logits, regions)
    torch.testing.assert_close(DiceBCE(bce_weight=0)(logits, regions), monai)


def test_an_empty_region_predicted_empty_costs_nothing():
    logits = torch.full((1, 3, 4, 4, 4), -50.0)
    assert DiceBCE()(logits, torch.zeros_like(logits)).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("others", [0, 1, 2])
def test_a_samples_gradient_does_not_depend_on_who_else_is_in_the_batch(others):
    logits, regions = example(3)

    def gradient(rows: slice) -> torch.Tensor:
        x = logits[rows].clone().requires_grad_()
        loss = DiceBCE()(x, regions[rows]) * len(x)  # the mean's 1/B is public and the same for all
        return torch.autograd.grad(loss, x)[0][0]

    torch.testing.assert_close(
        gradient(slice(0, 1 + others)), gradient(slice(0, 1)), atol=1e-12, rtol=0
    )


def test_a_loss_that_couples_patients_would_be_caught():
    logits, regions = example(2)
    coupled = DiceLoss(sigmoid=True, batch=True)
    x = logits.clone().requires_grad_()
    together = torch.autograd.grad(coupled(x, regions) * 2, x)[0][0]
    y = logits[:1].clone().requires_grad_()
    alone = torch.autograd.grad(coupled(y, regions[:1]), y)[0][0]
    assert (together - alone).abs().max() > 1e-4 * alone.abs().max()


def test_other_shapes_are_refused():
    with pytest.raises(InputError, match="regions must have shape"):
        DiceBCE()(torch.zeros(1, 3, 2, 2, 2), torch.zeros(1, 1, 2, 2, 2))
