"""Checkpoints (a door to OpenFL): a model file of the federation as weights in a network."""

from pathlib import Path

import numpy as np
import torch
from google.protobuf.message import DecodeError
from openfl.protocols import utils

from src.privacy.pipeline import PlainPipeline, WireError
from src.update import TENSOR, Manifest


def read_model(path: Path) -> np.ndarray:
    """The model vector float32 (P,) of a `.pbuf` file.

    ValueError: not a model of this kit; the message names the file.
    """
    try:
        tensors, _ = utils.deconstruct_model_proto(utils.load_proto(str(path)), PlainPipeline())
    except FileNotFoundError:
        raise FileNotFoundError(
            f"{path}: no such model. A run writes it after its last training round."
        ) from None
    except (DecodeError, WireError, IndexError) as error:
        raise ValueError(f"{path} is not a model of this kit: {error}") from error
    if TENSOR not in tensors:
        raise ValueError(f"{path}: expected the tensor {TENSOR!r}, found {sorted(tensors)}.")
    return np.asarray(tensors[TENSOR], np.float32)


def load_weights(network: torch.nn.Module, path: Path) -> None:
    """Put the file's weights into the network. ValueError: of another network."""
    state = {name: tensor.cpu().numpy() for name, tensor in network.state_dict().items()}
    try:
        tensors = Manifest.of(state).unpack(read_model(path))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    network.load_state_dict({name: torch.from_numpy(t.copy()) for name, t in tensors.items()})
