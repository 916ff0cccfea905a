"""What training moves in a network, as one vector; and such vectors as arrays, to be kept."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import nn


def trained(model: nn.Module) -> list[nn.Parameter]:
    """The parameters that training moves."""
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def trained_vector(model: nn.Module) -> torch.Tensor:
    """A copy of them as one vector."""
    return torch.cat([parameter.detach().flatten() for parameter in trained(model)])


def pieces_of(vector: torch.Tensor, model: nn.Module) -> tuple[torch.Tensor, ...]:
    """Such a vector in the shapes of the parameters."""
    moving = trained(model)
    pieces = vector.split([parameter.numel() for parameter in moving])
    return tuple(piece.view_as(parameter) for piece, parameter in zip(pieces, moving, strict=True))


def arrays_of(tensors: Mapping[str, torch.Tensor]) -> dict[str, np.ndarray]:
    """For the memory."""
    return {name: tensor.cpu().numpy() for name, tensor in tensors.items()}


def tensors_of(arrays: Mapping[str, np.ndarray], like: torch.Tensor) -> dict[str, torch.Tensor]:
    """From the memory, to the device where `like` is."""
    return {name: torch.from_numpy(array).to(like.device) for name, array in arrays.items()}
