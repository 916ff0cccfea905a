"""The flat vector: what goes in comes out, and nothing else is taken."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.errors import InputError, ModelError
from src.model_vector import Manifest, norm

TENSORS = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.array([7.0], np.float32)}


def test_tensors_lie_end_to_end_in_their_order():
    assert Manifest.of(TENSORS).pack(TENSORS).tolist() == [0, 1, 2, 3, 4, 5, 7]


@given(st.lists(st.lists(st.integers(0, 4), max_size=3), min_size=1, max_size=5))
def test_unpack_undoes_pack_for_any_shapes(shapes):
    rng = np.random.default_rng(0)
    tensors = {
        str(i): np.asarray(rng.normal(size=shape), np.float32) for i, shape in enumerate(shapes)
    }
    manifest = Manifest.of(tensors)
    back = manifest.unpack(manifest.pack(tensors))
    assert list(back) == list(tensors)
    for name in tensors:
        np.testing.assert_array_equal(back[name], tensors[name])


def test_an_integer_buffer_is_refused_by_name():
    with pytest.raises(ModelError, match="'steps' is int64"):
        Manifest.of({"w": np.zeros(2, np.float32), "steps": np.array(3)})


def test_other_names_are_refused():
    with pytest.raises(ModelError, match=r"missing \['b'\], unexpected \['c'\]"):
        Manifest.of(TENSORS).pack({"a": TENSORS["a"], "c": TENSORS["b"]})


def test_another_shape_is_refused_by_name():
    with pytest.raises(InputError, match=r"a must have shape \(2, 3\), got \(3, 2\)"):
        Manifest.of(TENSORS).pack({"a": TENSORS["a"].T, "b": TENSORS["b"]})


def test_a_vector_of_another_network_is_refused():
    with pytest.raises(ModelError, match=r"needs \(7,\)"):
        Manifest.of(TENSORS).unpack(np.zeros(8, np.float32))


def test_norm_is_summed_in_double_precision():
    assert norm(np.array([3, 4], np.float32)) == 5
    # in float32 the small squares would vanish beside the large one
    vector = np.concatenate([[4096.0], np.full(10_000, 0.5)]).astype(np.float32)
    assert norm(vector) == pytest.approx(np.sqrt(4096.0**2 + 2500), abs=1e-9)
