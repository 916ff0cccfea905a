"""Checkpoints: a model vector of the federation as weights in a network."""

from pathlib import Path

import numpy as np
import torch

from src.errors import ModelError
from src.model_vector import Manifest


def load_weights(network: torch.nn.Module, model: np.ndarray, *, name: str | Path) -> None:
    """Put a model vector float32 (P,) into the network. ModelError: of another; it says `name`."""
    state = {key: tensor.cpu().numpy() for key, tensor in network.state_dict().items()}
    try:
        tensors = Manifest.of(state).unpack(model)
    except ModelError as error:
        raise ModelError(f"{name}: {error}") from error
    network.load_state_dict({key: torch.from_numpy(t.copy()) for key, t in tensors.items()})
