"""Fixed point: sums at every corner, exact weights, unbiased rounding, errors within the bound."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from src.errors import RunFailed, SettingError, WireError
from src.secure_aggregation import bfv
from src.secure_aggregation.fixed_point import HEADER_SLOTS, FixedPoint, to_residues, to_signed

T = bfv.plain_modulus()


def fixed(bits: int, *sizes: int) -> FixedPoint:
    return FixedPoint(bits, T, sizes or (6,))


@pytest.mark.parametrize("bits", [24, 16, 12])
def test_every_corner_of_the_fields_survives_the_slot(bits):
    point = fixed(bits)
    top = 2 ** (bits - 1) - 1
    corners = np.array(list(itertools.product((-top, -1, 0, 1, top), repeat=point.fields)))
    slots = point._fold(corners.reshape(-1))
    assert np.abs(slots).max() <= (T - 1) // 2
    header = np.zeros(HEADER_SLOTS, np.int64)
    header[0] = 1
    big = FixedPoint(bits, T, (corners.size,))
    back = big.decode(to_signed(to_residues(np.concatenate([header, slots]), T), T), 1, 1)
    np.testing.assert_array_equal(back.values, corners.reshape(-1))


def test_the_full_range_of_twos_complement_would_not_fit():
    low = np.full(2, -(2**23))
    slot = fixed(24)._fold(low)
    assert np.abs(slot).max() > (T - 1) // 2  # 16,383 numbers of 2^48 are not there mod t


@settings(max_examples=40)
@given(
    st.lists(st.integers(1, 10), min_size=3, max_size=8),
    st.sampled_from([24, 16, 12]),
    st.integers(0, 2**32 - 1),
)
def test_the_sum_gives_the_weighted_mean_within_its_bound(cases, bits, seed):
    rng = np.random.default_rng(seed)
    point = fixed(bits, 4, 7)
    current = rng.normal(0, 1, 11).astype(np.float32)
    exponents = point.exponents(current)
    models = [current + rng.normal(0, 0.1, 11).astype(np.float32) for _ in cases]
    total = 10 * len(cases)
    encoded = [
        point.encode(model, exponents, n, total, rng)
        for model, n in zip(models, cases, strict=True)
    ]
    assert all(cut_off == 0 for _, cut_off in encoded)
    summed = sum(slots.view(np.int64) for slots, _ in encoded)
    found = point.decode(summed, len(cases), total)
    assert found.count == sum(cases)
    expected = np.average(np.array(models, np.float64), axis=0, weights=cases)
    steps = np.repeat(2.0**exponents, point.sizes)
    error = np.abs(found.mean() - expected)
    assert (error <= len(cases) * steps * total / found.count + 1e-6 * np.abs(expected)).all()


def test_rounding_keeps_a_change_smaller_than_a_step_on_average():
    point = FixedPoint(12, T, (20000,))
    exponents = np.array([-5])
    model = np.full(20000, 0.2 / 32, np.float32)  # 0.2 of a step
    slots, _ = point.encode(model, exponents, 1, 1, np.random.default_rng(0))
    found = point.decode(slots.view(np.int64), 1, 1).mean()
    assert found.mean() == pytest.approx(0.2 / 32, rel=0.05)
    assert set(np.unique(found)) == {0, np.float32(1 / 32)}


def test_rounding_is_fair_at_the_top_of_a_field_too():
    """Where a float32 has no bits left for what lies between two steps."""
    point = FixedPoint(24, T, (20000,))
    model = np.full(20000, 1 + 2.0**-23, np.float32)  # half a step above 2**22 steps
    slots, _ = point.encode(model, np.array([-22]), 1, 1, np.random.default_rng(0))
    found = point.decode(slots.view(np.int64), 1, 1).values - 2**22
    assert set(np.unique(found)) == {0, 1}
    assert found.mean() == pytest.approx(0.5, abs=0.02)


def test_what_a_field_cannot_hold_is_cut_off_and_counted():
    point = fixed(24)
    exponents = point.exponents(np.zeros(6, np.float32))
    model = np.array([0, 1, 3.9, 4.5, -100, 2], np.float32)
    slots, cut_off = point.encode(model, exponents, 5, 10, np.random.default_rng(0))
    assert cut_off == 2
    found = point.decode(slots.view(np.int64), 1, 10).mean()
    np.testing.assert_allclose(found, [0, 1, 3.9, 4, -4, 2], atol=1e-5)


def test_steps_follow_from_the_current_model_alone():
    point = fixed(24, 3, 2000)
    model = np.concatenate([np.zeros(3), np.full(2000, 0.3)]).astype(np.float32)
    small, large = point.exponents(model)
    assert small == 2 - 23  # biases at zero may grow to 4
    assert large == 1 - 23  # 4 * 0.3 = 1.2, within 2


def test_a_trained_model_that_is_not_finite_is_refused():
    model = np.array([1, np.nan, 0, 0, 0, 0], np.float32)
    with pytest.raises(RunFailed, match="diverged"):
        fixed(24).encode(model, np.array([-20]), 1, 1, np.random.default_rng(0))


@pytest.mark.parametrize("count", [0, -3, 11])
def test_a_falsified_case_count_is_no_mean(count):
    slots = np.zeros(fixed(24).slots, np.int64)
    slots[0] = count
    with pytest.raises(WireError, match="case count"):
        fixed(24).decode(slots, 3, 10)


def test_sites_with_different_steps_are_noticed():
    slots = np.zeros(fixed(24).slots, np.int64)
    slots[:2] = 5, -61  # not three times the same exponent
    with pytest.raises(WireError, match="different steps"):
        fixed(24).decode(slots, 3, 10)


def test_a_share_too_small_for_its_field_is_refused():
    with pytest.raises(SettingError, match="too small a share"):
        fixed(12).encode(np.zeros(6, np.float32), np.array([-9]), 1, 2000, np.random.default_rng(0))
