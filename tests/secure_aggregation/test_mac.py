"""Tags add like values, and fit nothing else."""

import numpy as np
import pytest

from src.secure_aggregation import bfv
from src.secure_aggregation.mac import Mac

T = bfv.plain_modulus()
KEY, SALT = b"k" * 32, b"s" * 32
LENGTH = 40


@pytest.fixture
def tagger():
    return Mac(KEY, LENGTH, T)


@pytest.fixture
def payloads():
    return np.random.default_rng(0).integers(0, T, (3, 5, LENGTH), np.uint64)


def summed(arrays) -> np.ndarray:
    return (np.sum(np.asarray(arrays, object), axis=0) % T).astype(np.uint64)


def test_the_tag_is_the_products_sum_plus_a_pad(tagger, payloads):
    from src.secure_aggregation.prg import derive, uniform

    (weights,) = uniform(derive(KEY, "mac-weights/v1"), 0, 1, LENGTH, T)
    (pad,) = uniform(derive(KEY, "mac-pad/v1", salt=SALT, info=b"a"), 0, 1, 5, T)
    expected = [
        (sum(int(w) * int(v) for w, v in zip(weights, row, strict=True)) + int(p)) % T
        for row, p in zip(payloads[0], pad, strict=True)
    ]
    assert tagger.macs(payloads[0], SALT, ["a"]).tolist() == expected


def test_the_sum_of_tags_fits_the_sum_of_values(tagger, payloads):
    own = [
        tagger.macs(payload, SALT, [name]) for payload, name in zip(payloads, "abc", strict=True)
    ]
    np.testing.assert_array_equal(summed(own), tagger.macs(summed(payloads), SALT, "abc"))


@pytest.mark.parametrize(
    ("change", "chunks"),
    [
        (lambda p: p, []),
        (lambda p: np.concatenate([p[:1] + np.eye(1, LENGTH, 3, np.uint64), p[1:]]), [0]),
        (lambda p: p[[1, 0, 2, 3, 4]], [0, 1]),
        (lambda p: (p * 2) % T, [0, 1, 2, 3, 4]),
    ],
)
def test_each_changed_chunk_is_found(tagger, payloads, change, chunks):
    macs = tagger.macs(payloads[0], SALT, "a")
    found = tagger.macs(change(payloads[0]) % np.uint64(T), SALT, "a")
    assert np.flatnonzero(found != macs).tolist() == chunks


def test_another_key_round_or_site_has_other_tags(tagger, payloads):
    own = tagger.macs(payloads[0], SALT, "a")
    others = (
        Mac(b"l" * 32, LENGTH, T).macs(payloads[0], SALT, "a"),
        tagger.macs(payloads[0], b"another round".ljust(32), "a"),
        tagger.macs(payloads[0], SALT, "b"),
        tagger.macs(payloads[0], SALT, "ab"),
    )
    assert all((other != own).all() for other in others)
