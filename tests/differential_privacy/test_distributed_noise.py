"""Noise shared out over the sites: sensitivity in steps, the sum of shares, room in the fields."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from src.differential_privacy.discrete_gaussian import discrete_gaussian
from src.differential_privacy.distributed_noise import FAILURE, Grid, SharedNoise
from src.differential_privacy.feasibility import SITES, enough, feasibility, table
from src.errors import SettingError
from src.model_vector import norm
from src.secure_aggregation.fixed_point import share_of_field


def noise(**settings) -> SharedNoise:
    usual = {
        "noise_multiplier": 2.0,
        "epsilon": 8.0,
        "sites": 3,
        "contributors": 2,
        "values": 100,
        "rounds": 5,
        "clip_norm": 1.0,
        "field": share_of_field(24, 1, 3),
    }
    return SharedNoise(**(usual | settings))


def divergence(shares: int, sigma: float, shift: int, order: int) -> float:
    """Renyi divergence of a sum of discrete Gaussians from itself moved by `shift`, by summing."""
    x = np.arange(-int(30 * sigma) - 1, int(30 * sigma) + 2)
    share = np.exp(-(x.astype(float) ** 2) / (2 * sigma**2))
    share /= share.sum()
    total = share
    for _ in range(shares - 1):
        total = np.convolve(total, share)
    here, there = total[shift:], total[: len(total) - shift]
    seen = (here > 1e-280) & (there > 1e-280)
    terms = order * np.log(here[seen]) + (1 - order) * np.log(there[seen])
    return float(np.logaddexp.reduce(terms)) / (order - 1)


# -- sensitivity --------------------------------------------------------------------------------

updates = st.tuples(
    st.integers(1, 60),  # values
    st.floats(1e-3, 1e3),  # length of the update
    st.integers(0, 2**32 - 1),
)


@settings(max_examples=60)
@given(updates, st.integers(3, 93), st.sampled_from([24, 16]), st.floats(0.5, 20), st.floats(0, 9))
def test_no_update_changes_the_sum_by_more_than_the_noise_is_measured_for(
    update, sites, bits, multiplier, largest
):
    values, length, seed = update
    shared = noise(
        noise_multiplier=multiplier,
        sites=sites,
        contributors=max(2, sites // 2),
        values=values,
        field=share_of_field(bits, 1, sites),
    )
    try:
        grid = shared.grid(largest)
    except SettingError:
        assume(False)
    rng = np.random.default_rng(seed)
    direction = rng.normal(size=values)
    steps = grid.update(direction / norm(direction) * length, rng)
    squared = sum(int(step) ** 2 for step in steps)
    assert squared <= grid.norm_squared
    spread = math.sqrt(shared.contributors) * grid.sigma
    assert spread >= multiplier * math.sqrt(grid.norm_squared) * (1 - 1e-12)
    assert spread >= multiplier * math.sqrt(squared) * (1 - 1e-12)


def test_rounding_once_would_break_the_bound_now_and_then():
    grid = noise(values=400, clip_norm=30.0, sites=3)._grid(0)  # steps of 1
    assert grid.norm_squared == 100 + 100 + 10 + 10
    update = np.full(400, 30 / 20)  # a site's share of it: half a step each
    rng = np.random.default_rng(0)
    once = [int((np.floor(update / 3 + rng.random(400)) ** 2).sum()) for _ in range(500)]
    assert max(once) > 220
    kept = [int((grid.update(update, rng) ** 2).sum()) for _ in range(500)]
    assert max(kept) <= 220


def test_a_long_update_is_clipped_a_short_one_stays_and_both_are_right_on_average():
    shared = noise(values=3, clip_norm=5.0, sites=5, contributors=3)
    grid = Grid(shared, -1, 10**9, 4)  # steps of 1/2, weight 1/5
    rng = np.random.default_rng(0)
    long, short = np.array([30.0, 0.0, -40.0]), np.array([0.3, -2.0, 0.0])
    for update, expected in ((long, [1.2, 0, -1.6]), (short, [0.12, -0.8, 0])):
        mean = np.mean([grid.update(update, rng) for _ in range(20_000)], axis=0)
        np.testing.assert_allclose(mean, expected, atol=0.02)


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_an_update_that_is_not_finite_counts_as_none(wrong):
    grid = noise(values=3).grid(1.0)
    assert not grid.update(np.array([1.0, wrong, 0.0]), np.random.default_rng(0)).any()


# -- the sum of shares --------------------------------------------------------------------------


def test_the_multiplier_by_hand():
    shared = noise(contributors=2, values=4)
    tau = 10 * math.exp(-(math.pi**2))  # sigma 1, k = 1
    assert shared.multiplier(9, 1) == pytest.approx(1 / (3 / math.sqrt(2) + 2 * tau))
    assert shared.multiplier(9, 4) == pytest.approx(4 * math.sqrt(2) / 3, rel=1e-12)


def test_sigma_is_the_smallest_whole_number_that_keeps_the_guarantee():
    shared = noise(contributors=5, values=50, sites=10, field=share_of_field(24, 1, 10))
    grid = shared.grid(2.0)
    assert shared.multiplier(grid.norm_squared, grid.sigma) >= 2.0
    assert shared.multiplier(grid.norm_squared, grid.sigma - 1) < 2.0


@pytest.mark.parametrize("shares", [2, 3, 7])
@pytest.mark.parametrize("order", [2, 8, 16])
def test_the_promise_covers_the_exact_divergence_of_the_sum_and_not_two_thirds_of_the_noise(
    shares, order
):
    shared = noise(contributors=shares, values=1)
    guaranteed = order / 2 / shared.multiplier(9, 4) ** 2
    assert divergence(shares, 4, 3, order) <= guaranteed * (1 + 1e-9)
    assert divergence(shares, 4 * 2 / 3, 3, order) > guaranteed


def test_with_tiny_noise_the_sum_is_no_discrete_gaussian_and_tau_says_so():
    """At sigma 0.4 the sum of two is off by more than a Gaussian's bound, within tau's."""
    gaussian = 4 / 2 * (1 / (2 * 0.4**2))
    found = divergence(2, 0.4, 1, 4)
    assert found > gaussian
    tau = 10 * math.exp(-(math.pi**2) * 0.4**2)
    assert found <= 4 / 2 * (1 / (math.sqrt(2) * 0.4) + tau) ** 2


@pytest.mark.parametrize("contributors", [0, 1])
def test_one_sites_noise_hides_nothing_and_is_refused(contributors):
    with pytest.raises(SettingError, match="At least 2 are needed"):
        noise(contributors=contributors)


# -- room ---------------------------------------------------------------------------------------


def test_the_step_is_the_finest_with_room_and_follows_the_model_alone():
    shared = noise()
    grid = shared.grid(3.0)
    assert grid.fits(3.0)
    assert not shared._grid(grid.exponent - 1).fits(3.0)
    assert shared.grid(3.0) == grid
    assert shared.grid(3000.0).exponent > grid.exponent


def test_a_field_overflows_in_a_run_with_less_than_the_probability_that_delta_keeps():
    shared = noise(values=1000, sites=10, contributors=6, rounds=12, epsilon=8.0)
    draws = 1000 * 10 * 12
    tail = 2 * math.exp(-(shared.reach**2) / 2)
    assert draws * tail * (1 + math.exp(8)) == pytest.approx(FAILURE)
    # the tail itself, by summing: of discrete Gaussians it is below that bound
    x = np.arange(-200, 201)
    pmf = np.exp(-(x**2) / (2 * 4.0**2))
    pmf /= pmf.sum()
    for sigmas in (1, 2, 4, 8):
        assert pmf[np.abs(x) >= sigmas * 4].sum() <= 2 * math.exp(-(sigmas**2) / 2)


def test_a_value_beyond_its_field_is_never_sent_and_never_cut_off():
    grid = noise().grid(1.0)
    top = grid.noise.field
    np.testing.assert_array_equal(grid.within(np.array([top, -top])), [top, -top])
    for beyond in (top + 1, -top - 1):
        with pytest.raises(OverflowError, match="nothing was sent"):
            grid.within(np.array([0, beyond]))


def test_noise_in_a_field_that_is_too_small_for_it_leaves_it():
    """What `fits` prevents: the same steps in a field of a quarter overflow at once."""
    grid = noise(values=2000, field=20_000).grid(1.0)
    grid.within(discrete_gaussian(grid.sigma, 2000))
    small = Grid(noise(values=2000, field=2 * grid.sigma), grid.exponent, 1, grid.sigma)
    with pytest.raises(OverflowError):
        small.within(discrete_gaussian(grid.sigma, 2000))


@pytest.mark.parametrize(
    ("settings", "largest"),
    [
        # rounding alone needs noise that fills a 12-bit field
        ({"field": share_of_field(12, 1, 3), "noise_multiplier": 9.0, "values": 5000}, 1.0),
        ({"clip_norm": 1e-7, "noise_multiplier": 0.5, "values": 1}, 1e4),  # sigma below 4
    ],
)
def test_plans_that_leave_no_room_are_refused_with_what_to_change(settings, largest):
    with pytest.raises(SettingError, match=r"no room in a field.*bits: 24, tune fewer"):
        noise(**settings).grid(largest)


# -- how many sites are enough ------------------------------------------------------------------


def test_the_noise_of_the_mean_by_hand():
    # 16 sites, 9 counted on, 3600 values: 2 * 60 / (3 * 4)
    found = feasibility(2.0, 3600, 16, 9)
    assert found.noise == pytest.approx(10.0)
    assert not found.worthwhile


def test_the_noise_of_the_mean_as_drawn():
    shared = noise(sites=6, contributors=4, values=20_000, field=share_of_field(24, 1, 6))
    grid = shared.grid(1.0)
    summed = sum(discrete_gaussian(grid.sigma, 20_000) for _ in range(6))
    mean = summed * 2.0**grid.exponent
    expected = feasibility(2.0, 20_000, 6, 4).noise * shared.clip_norm
    assert norm(mean) == pytest.approx(expected, rel=0.05)


def test_more_sites_are_better_and_only_some_fit_into_one_sum():
    found = table(2.0, 1432)
    assert [row.sites for row in found] == list(SITES)
    assert all(a.noise > b.noise for a, b in pairwise(found))
    assert [row.encryptable for row in found] == [n <= 93 for n in SITES]
    assert [row.contributors for row in found][:3] == [2, 3, 6]


def test_the_smallest_worthwhile_number_of_sites():
    number = enough(2.0, 1432)
    assert table(2.0, 1432, [number])[0].worthwhile
    assert not table(2.0, 1432, [number - 1])[0].worthwhile
