"""Checkpoints: a model vector becomes a network's weights, or is refused with its name."""

import numpy as np
import pytest

from src.errors import ModelError
from src.inference.checkpoint import load_weights
from src.model.unet import GliomaUNet
from src.model_vector import Manifest


def vector(network: GliomaUNet) -> np.ndarray:
    state = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    return Manifest.of(state).pack(state)


def test_weights_arrive_in_the_network():
    source, target = GliomaUNet(), GliomaUNet()
    assert (vector(target) != vector(source)).any()
    load_weights(target, vector(source), name="final.pbuf")
    np.testing.assert_array_equal(vector(target), vector(source))


def test_another_networks_model_is_refused_with_its_file():
    with pytest.raises(ModelError, match=r"x.pbuf: The model vector has shape \(5,\)"):
        load_weights(GliomaUNet(), np.zeros(5, np.float32), name="x.pbuf")
