"""Checkpoints (a door to OpenFL): a model file of the federation as weights in a network."""

from pathlib import Path

import numpy as np
import torch

from src.engines.openfl.pipeline import model_bytes, open_here, read_plain_model
from src.model_vector import Manifest
from src.secure_aggregation.framing import is_sealed


def read_model(path: Path, site: Path | None = None) -> np.ndarray:
    """The model vector float32 (P,) of a `.pbuf` file.

    site: a site's workspace; an encrypted model is verified and opened there.
    ValueError, Refused: not a model of this kit, or one that does not hold; nobody's site.
    """
    message = model_bytes(path)
    if is_sealed(message) and site is not None:
        return open_here(site, message)
    return read_plain_model(path)


def load_weights(network: torch.nn.Module, path: Path, site: Path | None = None) -> None:
    """Put the file's weights into the network; `site` as above. ValueError: of another network."""
    state = {name: tensor.cpu().numpy() for name, tensor in network.state_dict().items()}
    try:
        tensors = Manifest.of(state).unpack(read_model(path, site))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    network.load_state_dict({name: torch.from_numpy(t.copy()) for name, t in tensors.items()})
