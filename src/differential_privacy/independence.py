"""Per-example independence: refuse networks and losses that couple patients.

If batch statistics, a Dice summed over the batch or class weights of the batch let one patient's
gradient depend on another patient, clipping each bounds nothing. Buffers that training updates
would leave the site without any noise at all. Opacus' module validator refuses BatchNorm and is
silent about losses.
"""

import copy

import torch
from torch import nn

from src.errors import SettingError

TOLERANCE = 1e-8  # relative, in float64
SIDE = 16  # voxels, of the probe


def refuse_coupling(model: nn.Module, loss: nn.Module) -> None:
    """SettingError if a sample's gradient depends on another sample of its batch."""
    for name, module in model.named_modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            raise SettingError(
                f"task_runner.model: {name} is a {type(module).__name__}: statistics of a batch "
                "tie patients together. Use GroupNorm."
            )
    for owner, part in (("model", model), ("loss", loss)):
        buffers = [name for name, _ in part.named_buffers()]
        if buffers:
            raise SettingError(
                f"task_runner.{owner} keeps {', '.join(buffers)}: what training writes there would "
                "leave the site without noise. Keep no buffers in a private plan."
            )
    apart = coupling(model, loss)
    if apart > TOLERANCE:
        raise SettingError(
            f"task_runner.loss {type(loss).__name__} or the network ties patients together: the "
            f"gradient of a batch differs from its samples' mean by {apart:.1e} of its length. "
            "Take a loss that is the mean over samples (src.model.losses.DiceBCE)."
        )


def coupling(model: nn.Module, loss: nn.Module) -> float:
    """How far a batch's gradient is from the mean of its samples' own, relative to its length.

    It is measured on random input in float64, on copies; 0 up to rounding if samples are
    independent.
    """
    model, loss = copy.deepcopy(model).cpu().double(), copy.deepcopy(loss).cpu().double()
    model.train()
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    channels = next(p.shape[1] for p in parameters if p.ndim == 5)
    side = max(SIDE, getattr(model, "multiple", 1))
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(3, channels, *(side,) * 3, generator=generator, dtype=torch.float64)
    with torch.no_grad():
        shape = model(images).shape
    sizes = torch.tensor([0.1, 0.4, 0.8]).reshape(3, *(1,) * (len(shape) - 1))
    regions = (torch.rand(shape, generator=generator) < sizes).double()

    def gradient(rows: slice) -> torch.Tensor:
        value = loss(model(images[rows]), regions[rows])
        return torch.cat([g.flatten() for g in torch.autograd.grad(value, parameters)])

    together = gradient(slice(None))
    alone = sum(gradient(slice(i, i + 1)) for i in range(3)) / 3
    return float((together - alone).norm() / together.norm())
