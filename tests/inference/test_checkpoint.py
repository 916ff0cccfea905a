"""Model files: read, put into a network, refused with their name."""

import numpy as np
import pytest
from openfl.protocols import utils

from src.engines.openfl.pipeline import PlainPipeline
from src.inference.checkpoint import load_weights, read_model
from src.model.unet import GliomaUNet
from src.model_vector import TENSOR, Manifest


def write(path, tensors) -> None:
    utils.dump_proto(utils.construct_model_proto(tensors, 3, PlainPipeline()), str(path))


def vector(network: GliomaUNet) -> np.ndarray:
    state = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    return Manifest.of(state).pack(state)


def test_weights_arrive_in_the_network(tmp_path):
    source, target = GliomaUNet(), GliomaUNet()
    write(tmp_path / "final.pbuf", {TENSOR: vector(source)})
    load_weights(target, tmp_path / "final.pbuf")
    np.testing.assert_array_equal(vector(target), vector(source))
    np.testing.assert_array_equal(read_model(tmp_path / "final.pbuf"), vector(source))


def test_another_networks_model_is_refused_with_its_file(tmp_path):
    write(tmp_path / "x.pbuf", {TENSOR: np.zeros(5, np.float32)})
    with pytest.raises(ValueError, match=r"x.pbuf: The model vector has shape \(5,\)"):
        load_weights(GliomaUNet(), tmp_path / "x.pbuf")


def test_a_missing_file_says_who_writes_it(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no such model. A run writes it"):
        read_model(tmp_path / "none.pbuf")


@pytest.mark.parametrize("content", [b"not a model", b"\x00" * 40])
def test_a_damaged_file_is_refused(tmp_path, content):
    (tmp_path / "x.pbuf").write_bytes(content)
    with pytest.raises(ValueError, match=r"x.pbuf"):
        read_model(tmp_path / "x.pbuf")


def test_a_model_of_many_tensors_is_not_ours(tmp_path):
    write(tmp_path / "x.pbuf", {"conv.weight": np.zeros(3, np.float32)})
    with pytest.raises(ValueError, match=r"expected the tensor 'model', found \['conv.weight'\]"):
        read_model(tmp_path / "x.pbuf")
