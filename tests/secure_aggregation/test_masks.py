"""Masks cancel in the sum and look uniform in each part; streams are the same for every party."""

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from src.errors import Refused
from src.secure_aggregation import bfv
from src.secure_aggregation.masks import mask, pair_keys
from src.secure_aggregation.prg import derive, uniform
from tests.oracles import uniformity

T = bfv.plain_modulus()
SALT = b"s" * 32


def everybody(names="abcd", salt=SALT):
    private = {name: X25519PrivateKey.generate() for name in names}
    public = {name: key.public_key().public_bytes_raw() for name, key in private.items()}
    return {name: pair_keys(name, private[name], public, salt) for name in names}


def test_masks_cancel_over_the_roster_and_only_there():
    keys = everybody()
    slots = np.random.default_rng(0).integers(0, 1000, (3, 64), np.uint64)
    masked = {name: mask(name, keys[name], slots, T) for name in keys}
    total = sum(masked.values()) % np.uint64(T)
    np.testing.assert_array_equal(total, slots * 4 % T)
    three = sum(masked[name] for name in "abc") % np.uint64(T)
    assert (three != slots * 3 % T).all()


def test_a_pair_has_one_key_and_another_round_another():
    keys = everybody("ab")
    assert keys["a"]["b"] == keys["b"]["a"]
    private = X25519PrivateKey.generate()
    public = {"x": X25519PrivateKey.generate().public_key().public_bytes_raw()}
    assert pair_keys("a", private, public, b"1") != pair_keys("a", private, public, b"2")


def test_a_public_key_of_small_order_is_refused():
    with pytest.raises(Refused, match="gives no secret"):
        pair_keys("a", X25519PrivateKey.generate(), {"b": bytes(32)}, SALT)


def test_one_masked_part_is_uniform_and_an_unmasked_one_is_not():
    keys = everybody()
    rng = np.random.default_rng(0)
    slots = (rng.normal(0, 1000, (8, 4096)).astype(np.int64) % T).astype(np.uint64)
    assert uniformity(mask("a", keys["a"], slots, T).ravel()) > 1e-4
    assert uniformity(slots.ravel()) < 1e-12


def test_an_observer_with_two_candidates_does_no_better_than_chance():
    keys = everybody()
    rng = np.random.default_rng(1)
    candidates = rng.integers(0, 2**20, (2, 1, 4096)).astype(np.uint64)
    right = 0
    for trial in range(200):
        fresh = {other: derive(key, f"{trial}") for other, key in keys["a"].items()}
        truth = int(rng.integers(2))
        seen = mask("a", fresh, candidates[truth], T).astype(float).ravel()
        scores = [abs(np.corrcoef(seen, candidate.ravel())[0, 1]) for candidate in candidates]
        right += int(np.argmax(scores) == truth)
    assert 70 < right < 130  # 100 +- 4.2 standard deviations
    unmasked = candidates[0].astype(float).ravel()
    assert np.corrcoef(unmasked, candidates[0].ravel())[0, 1] > 0.99  # without masks: always


def test_streams_are_equal_however_the_chunks_are_divided():
    key = derive(b"secret", "test")
    whole = uniform(key, 0, 7, 50, T)
    parts = [uniform(key, first, count, 50, T) for first, count in ((0, 3), (3, 1), (4, 3))]
    np.testing.assert_array_equal(whole, np.concatenate(parts))


def test_rejected_draws_are_replaced_alike_and_keep_the_numbers_uniform():
    modulus = 2**47 + 1  # nearly every second draw is rejected
    key = derive(b"secret", "test")
    whole = uniform(key, 0, 4, 4096, modulus)
    assert (whole < modulus).all()
    np.testing.assert_array_equal(whole[2:3], uniform(key, 2, 1, 4096, modulus))
    assert uniformity(whole.ravel(), modulus) > 1e-4
    keys = everybody("abc")
    slots = np.zeros((4, 128), np.uint64)
    total = sum(mask(name, keys[name], slots, modulus) for name in "abc") % np.uint64(modulus)
    assert not total.any()
