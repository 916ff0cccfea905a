"""An array as bytes: exact, and strict about what is read."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from src.errors import WireError
from src.rounds.tensor_bytes import decode, encode, is_number
from src.secure_aggregation import framing


@given(
    arrays.arrays(
        st.sampled_from([np.float32, np.float64, np.uint8, np.int32, np.int64]),
        arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5),
    )
)
def test_dtype_shape_and_bits_come_back(array):
    back = decode(encode(array))
    assert back.dtype == array.dtype
    assert back.shape == array.shape
    assert back.tobytes() == array.tobytes()


def test_two_axes_of_float32_are_written_as_described():
    assert encode(np.array([[1.0, 2.0]], np.float32)) == (
        b"PLN1\x00\x02"
        + b"\x01"
        + bytes(7)
        + b"\x02"
        + bytes(7)
        + b"\x00\x00\x80\x3f\x00\x00\x00\x40"
    )


def test_big_endian_and_strided_arrays_come_back_by_value():
    array = np.arange(12, dtype=">f4").reshape(3, 4)[:, ::2]
    np.testing.assert_array_equal(decode(encode(array)), array)


def test_other_dtypes_become_float32():
    assert decode(encode(np.array([True, False]))).tolist() == [1.0, 0.0]


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
    with pytest.raises(WireError):
        decode(damage(encode(np.arange(6, dtype=np.float32).reshape(2, 3))))


def test_an_encrypted_model_is_refused_with_what_to_do():
    with pytest.raises(WireError, match="python -m src export"):
        decode(framing.pack({}))


@given(st.binary(max_size=64))
def test_random_bytes_are_refused_or_are_a_tensor(data):
    try:
        array = decode(b"PLN1" + data)
    except WireError:
        return
    assert array.nbytes <= len(data)


def test_only_a_single_value_is_a_number():
    assert is_number(encode(np.array(0.5)))
    assert not is_number(encode(np.array([0.5])))
    assert not is_number(b"0.5")
