"""The codec: OpenFL's interface to the bytes of a tensor, and no keys of its own."""

import numpy as np
import pytest

from src.engines.openfl.codec import EncryptingTransformer
from src.engines.openfl.pipeline import PlainPipeline
from src.errors import Refused, WireError
from src.rounds import tensor_bytes
from src.secure_aggregation import framing
from src.secure_aggregation.protocol import UPDATE
from tests.secure_aggregation.sealing import THREE, Federation

PIPELINE = PlainPipeline()
SEALED = framing.pack({"kind": "download"})


@pytest.fixture
def federation(tmp_path):
    federation = Federation(tmp_path, THREE)
    federation.gather()
    yield federation
    federation.close()


@pytest.fixture
def at_site(federation):
    codec = EncryptingTransformer()
    codec.encrypt_with(federation.sites["one"], lambda: THREE["one"])
    return codec


@pytest.mark.parametrize("array", [np.array(0.5), np.ones((2, 3), np.float32), np.arange(3)])
def test_a_plain_pipeline_gives_back_what_it_was_given(array):
    back = PIPELINE.backward(*PIPELINE.forward(array))
    assert (back.dtype, back.shape) == (array.dtype, array.shape)
    np.testing.assert_array_equal(back, array)


def test_the_pipeline_tells_openfl_that_nothing_is_lost():
    assert not PIPELINE.is_lossy()


@pytest.mark.parametrize("codec", [EncryptingTransformer(), PIPELINE.transformers[0]])
def test_without_keys_an_encrypted_model_says_what_opens_it(codec):
    with pytest.raises(WireError, match="a site opens it, in its workspace: python -m src export"):
        codec.backward(SEALED, {})


def test_encrypted_bytes_pass_the_aggregators_codec_unchanged():
    passed, _ = EncryptingTransformer().forward(np.frombuffer(SEALED, np.uint8))
    assert passed == SEALED


def test_a_sites_codec_opens_and_encrypts_models_and_leaves_numbers_plain(at_site, federation):
    model = at_site.backward(federation.aggregator.model(0), {})
    np.testing.assert_array_equal(model, federation.initial)
    message, _ = at_site.forward(model)
    assert framing.header(message)["kind"] == UPDATE
    metric, _ = at_site.forward(np.array(0.25))
    assert tensor_bytes.decode(metric) == 0.25


def test_a_site_takes_no_model_that_is_not_encrypted(at_site):
    with pytest.raises(Refused, match="a model that is not encrypted"):
        at_site.backward(tensor_bytes.encode(np.zeros(3, np.float32)), {})
