"""The codec: exact, strict about what it reads, and without keys of its own."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from src.engines.openfl.codec import EncryptingTransformer
from src.engines.openfl.pipeline import PlainPipeline
from src.secure_aggregation import framing
from src.secure_aggregation.framing import WireError

PIPELINE = PlainPipeline()


def through(array: np.ndarray) -> np.ndarray:
    return PIPELINE.backward(*PIPELINE.forward(array))


@given(
    arrays.arrays(
        st.sampled_from([np.float32, np.float64, np.uint8, np.int32, np.int64]),
        arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5),
    )
)
def test_dtype_shape_and_bits_come_back(array):
    back = through(array)
    assert back.dtype == array.dtype
    assert back.shape == array.shape
    assert back.tobytes() == array.tobytes()


def test_big_endian_and_strided_arrays_come_back_by_value():
    array = np.arange(12, dtype=">f4").reshape(3, 4)[:, ::2]
    np.testing.assert_array_equal(through(array), array)


def test_a_scalar_metric_stays_a_scalar():
    assert through(np.array(0.5)).shape == ()


def test_the_pipeline_tells_openfl_that_nothing_is_lost():
    assert not PIPELINE.is_lossy()


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:5],
        lambda data: b"XXXX" + data[4:],
        lambda data: data[:-1],
        lambda data: data + b"\x00",
        lambda data: data[:4] + b"\x09" + data[5:],
        lambda data: data[:5] + b"\xff" + data[6:],
        lambda data: data[:6] + b"\xff" * 8 + data[14:],
    ],
)
def test_damaged_bytes_are_refused(damage):
    data, metadata = PIPELINE.forward(np.arange(6, dtype=np.float32).reshape(2, 3))
    with pytest.raises(WireError):
        PIPELINE.backward(damage(data), metadata)


@given(st.binary(max_size=64))
def test_random_bytes_are_refused_or_are_a_tensor(data):
    try:
        array = PIPELINE.backward(b"PLN1" + data, [{}])
    except WireError:
        return
    assert array.nbytes <= len(data)


@pytest.mark.parametrize("codec", [EncryptingTransformer(), PIPELINE.transformers[0]])
def test_without_keys_an_encrypted_model_says_what_opens_it(codec):
    sealed = framing.pack({"kind": "download"})
    with pytest.raises(WireError, match="a site opens it, in its workspace: python -m src export"):
        codec.backward(sealed, {})


def test_encrypted_bytes_pass_the_aggregators_codec_unchanged():
    sealed = framing.pack({"kind": "announcement"})
    passed, _ = EncryptingTransformer().forward(np.frombuffer(sealed, np.uint8))
    assert passed == sealed
