"""Model files: read as one vector, refused with their name."""

import shutil

import numpy as np
import pytest
from openfl.protocols import utils

from src.engines.openfl.model_file import read_model
from src.engines.openfl.pipeline import EncryptedPipeline, PlainPipeline
from src.errors import ModelError, Refused
from src.model_vector import TENSOR
from src.secure_aggregation import framing
from tests.engines.openfl.conftest import ROOT


def write(path, tensors) -> None:
    utils.dump_proto(utils.construct_model_proto(tensors, 3, PlainPipeline()), str(path))


def test_the_model_of_a_file_is_one_vector(tmp_path):
    write(tmp_path / "final.pbuf", {TENSOR: np.arange(5, dtype=np.float32)})
    np.testing.assert_array_equal(read_model(tmp_path / "final.pbuf"), [0, 1, 2, 3, 4])


def test_a_missing_file_says_who_writes_it(tmp_path):
    with pytest.raises(ModelError, match=r"no such model. A run writes it"):
        read_model(tmp_path / "none.pbuf")


@pytest.mark.parametrize("content", [b"not a model", b"\x00" * 40])
def test_a_damaged_file_is_refused(tmp_path, content):
    (tmp_path / "x.pbuf").write_bytes(content)
    with pytest.raises(ModelError, match=r"x.pbuf"):
        read_model(tmp_path / "x.pbuf")


def test_a_model_of_many_tensors_is_not_ours(tmp_path):
    write(tmp_path / "x.pbuf", {"conv.weight": np.zeros(3, np.float32)})
    with pytest.raises(ModelError, match=r"expected the tensor 'model', found \['conv.weight'\]"):
        read_model(tmp_path / "x.pbuf")


def test_an_encrypted_model_is_opened_at_a_site_alone(tmp_path):
    sealed = np.frombuffer(framing.pack({"kind": "download"}), np.uint8)
    proto = utils.construct_model_proto({TENSOR: sealed}, 3, EncryptedPipeline())
    utils.dump_proto(proto, str(tmp_path / "final.pbuf"))
    with pytest.raises(ModelError, match=r"final\.pbuf: this model is encrypted"):
        read_model(tmp_path / "final.pbuf")
    shutil.copytree(ROOT / "plan", tmp_path / "plan")
    with pytest.raises(Refused, match="is no site's workspace"):
        read_model(tmp_path / "final.pbuf", tmp_path)
