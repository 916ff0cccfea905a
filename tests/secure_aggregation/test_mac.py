"""Tags add like values, and fit nothing else."""

import numpy as np
import pytest

from src.secure_aggregation import bfv, mac
from src.secure_aggregation.mac import Mac

T = bfv.plain_modulus()
KEY, SALT = b"k" * 32, b"s" * 32
NONCE = b"n" * 16
LENGTH = 40


def sent(*sites: str) -> dict[str, bytes]:
    """One upload of each site."""
    return dict.fromkeys(sites, NONCE)


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
    (pad,) = uniform(derive(KEY, "mac-pad/v2", salt=SALT, info=b"a" + NONCE), 0, 1, 5, T)
    expected = [
        (sum(int(w) * int(v) for w, v in zip(weights, row, strict=True)) + int(p)) % T
        for row, p in zip(payloads[0], pad, strict=True)
    ]
    assert tagger.macs(payloads[0], SALT, sent("a")).tolist() == expected


def test_the_sum_of_tags_fits_the_sum_of_values(tagger, payloads):
    own = [
        tagger.macs(payload, SALT, sent(name))
        for payload, name in zip(payloads, "abc", strict=True)
    ]
    np.testing.assert_array_equal(summed(own), tagger.macs(summed(payloads), SALT, sent(*"abc")))


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
    macs = tagger.macs(payloads[0], SALT, sent("a"))
    found = tagger.macs(change(payloads[0]) % np.uint64(T), SALT, sent("a"))
    assert np.flatnonzero(found != macs).tolist() == chunks


def test_another_key_round_site_or_upload_has_other_tags(tagger, payloads):
    own = tagger.macs(payloads[0], SALT, sent("a"))
    others = (
        Mac(b"l" * 32, LENGTH, T).macs(payloads[0], SALT, sent("a")),
        tagger.macs(payloads[0], b"another round".ljust(32), sent("a")),
        tagger.macs(payloads[0], SALT, sent("b")),
        tagger.macs(payloads[0], SALT, {"a": b"m" * 16}),
        tagger.macs(payloads[0], SALT, sent(*"ab")),
    )
    assert all((other != own).all() for other in others)


def test_a_nonce_is_new_each_time(tagger, payloads):
    nonces = {tagger.nonce(payloads[0]) for _ in range(50)}
    assert len(nonces) == 50
    assert {len(nonce) for nonce in nonces} == {16}


def test_two_uploads_have_two_nonces_even_if_the_generator_repeats_itself(
    tagger, payloads, monkeypatch
):
    """Two copies of a frozen machine may draw the same bytes; they do not train the same."""
    monkeypatch.setattr(mac.os, "urandom", bytes)
    first, second = tagger.nonce(payloads[0]), tagger.nonce(payloads[1])
    assert first != second
    assert tagger.nonce(payloads[0]) == first  # then the uploads are equal, too


def test_with_one_pad_for_two_uploads_a_sum_is_forged_without_a_key(tagger, payloads):
    """Why there are nonces: m1 + 7 (m1 - m2) has the MAC t1 + 7 (t1 - t2), if the pads are one."""
    times = 7

    def forged_fits(first: bytes, second: bytes) -> bool:
        one, two = payloads[0].astype(object), payloads[1].astype(object)
        macs = [
            tagger.macs(payload, SALT, {"a": nonce}).astype(object)
            for payload, nonce in zip(payloads[:2], (first, second), strict=True)
        ]
        payload = ((one + times * (one - two)) % T).astype(np.uint64)
        mac_of_it = ((macs[0] + times * (macs[0] - macs[1])) % T).astype(np.uint64)
        return (tagger.macs(payload, SALT, {"a": first}) == mac_of_it).all()

    assert forged_fits(NONCE, NONCE)
    assert not forged_fits(NONCE, b"m" * 16)
