"""The accountant is Opacus', and never guarantees less than Google's PLD accounting finds."""

import math
from functools import lru_cache

import pytest
from dp_accounting.pld import privacy_loss_distribution
from hypothesis import given, settings
from hypothesis import strategies as st
from opacus.accountants import PRVAccountant, RDPAccountant
from opacus.accountants.utils import get_noise_multiplier

from src.differential_privacy import accountant
from src.differential_privacy.accountant import DpEvent, calibrate, epsilon, epsilon_prv
from src.errors import SettingError

SITE_OF_FOUR = [(q, steps, 1 / 40) for q in (0.25, 0.5, 1.0) for steps in (1, 4, 10)]
LARGER = [
    (0.01, 1000, 1e-5),
    (0.0156, 100, 1e-3),
    (0.1, 200, 1e-3),
    (0.25, 100, 1e-2),
    (1.0, 1, 1e-5),
    (1.0, 30, 1e-3),
    (1.0, 1000, 1e-3),
]
SIGMAS = (0.4, 1, 3, 30, 200)
GRID = [(sigma, *rest) for sigma in SIGMAS for rest in SITE_OF_FOUR + LARGER]
ONCE = list({(sigma, q): (sigma, q, steps, delta) for sigma, q, steps, delta in GRID}.values())


def event(sigma: float, q: float = 1.0, steps: int = 1) -> DpEvent:
    return DpEvent(noise_multiplier=sigma, sample_rate=q, steps=steps)


def opacus_rdp(history, delta: float, alphas) -> tuple[float, float]:
    """(epsilon, best order) of Opacus; it goes below 0 where delta alone covers everything."""
    accountant = RDPAccountant()
    accountant.history = history
    found, order = accountant.get_privacy_spent(delta=delta, alphas=alphas)
    return max(found, 0.0), order


@lru_cache
def step_by_google(sigma: float, q: float):
    return privacy_loss_distribution.from_gaussian_mechanism(
        sigma, sampling_prob=q, value_discretization_interval=1e-4 if sigma > 2 else 1e-3
    )


def google_pld(sigma: float, q: float, steps: int, delta: float) -> float:
    return step_by_google(sigma, q).self_compose(steps).get_epsilon_for_delta(delta)


# -- against the references --------------------------------------------------------------------


@pytest.mark.parametrize(("sigma", "q", "steps", "delta"), ONCE)
@pytest.mark.filterwarnings("ignore:Optimal order is the")  # Opacus', of its own shorter list
def test_epsilon_is_opacus_own_where_its_orders_suffice_and_never_above(sigma, q, steps, delta):
    ours = epsilon([event(sigma, q, steps)], delta)
    alphas = sorted({*RDPAccountant.DEFAULT_ALPHAS, 11})  # its list leaves out this one alone
    theirs, order = opacus_rdp([(sigma, q, steps)], delta, alphas)
    assert ours <= theirs + 1e-6
    if alphas[0] < order < alphas[-1]:
        assert ours == pytest.approx(theirs, abs=1e-6)


@pytest.mark.parametrize("sigma", [0.02, 0.4, 1, 5, 300])
@pytest.mark.parametrize("delta", [1e-6, 1e-3, 0.025])
def test_epsilon_is_opacus_own_over_the_same_orders(sigma, delta):
    history = [(sigma, 1.0, 10), (2 * sigma, 1.0, 3)]
    ours = epsilon([event(*entry) for entry in history], delta)
    theirs, _ = opacus_rdp(history, delta, sorted(accountant.ORDERS))
    assert ours == pytest.approx(theirs, abs=1e-6)


@pytest.mark.parametrize(("sigma", "q", "steps", "delta"), GRID)
def test_epsilon_is_never_below_what_google_finds(sigma, q, steps, delta):
    google = google_pld(sigma, q, steps, delta)
    assert epsilon([event(sigma, q, steps)], delta) >= 0.99 * google


def test_too_little_noise_booked_would_be_found_by_that_comparison():
    google = google_pld(1.0, 0.25, 100, 1e-2)
    assert epsilon([event(1.5, 0.25, 100)], 1e-2) < 0.99 * google


@pytest.mark.parametrize(("sigma", "q", "steps", "delta"), GRID[::5])
def test_prv_lies_between_googles_value_and_rdp(sigma, q, steps, delta):
    upper = epsilon([event(sigma, q, steps)], delta)
    found = epsilon_prv([event(sigma, q, steps)], delta)
    assert found <= upper
    if upper <= accountant.PRV_WORTH:
        google = google_pld(sigma, q, steps, delta)
        assert found >= google - steps * 1e-5 - 0.01 * google  # PLD rounds up by its grid
        assert found <= google + 0.02


def test_prv_is_opacus_own_also_for_releases_of_several_kinds():
    theirs = PRVAccountant()
    theirs.history = [(1.0, 0.1, 40), (3.0, 0.2, 10)]
    ours = epsilon_prv([event(3.0, 0.2, 10), event(1.0, 0.1, 40)], 1e-3)
    assert ours == pytest.approx(theirs.get_epsilon(1e-3), abs=1e-9)


# -- by hand -----------------------------------------------------------------------------------


def test_a_single_gaussian_by_hand():
    # RDP of order a: a / (2 z^2). With z = 1 and a = 3 at delta 0.05:
    # 1.5 + log(2/3) - (log 0.05 + log 3) / 2 = 2.0432, and no order is better by much.
    by_hand = 1.5 + math.log(2 / 3) - (math.log(0.05) + math.log(3)) / 2
    assert by_hand - 0.01 < epsilon([event(1.0)], 0.05) <= by_hand


def test_nothing_released_costs_nothing_and_no_noise_costs_everything():
    assert epsilon([], 1e-3) == epsilon_prv([], 1e-3) == 0
    assert epsilon([event(0.0)], 1e-3) == epsilon_prv([event(0.0)], 1e-3) == math.inf
    assert epsilon([event(5.0), event(0.0, 0.1)], 1e-3) == math.inf


def test_much_noise_costs_almost_nothing_and_less_with_more_of_it():
    costs = [epsilon([event(sigma)], 1e-6) for sigma in (1e7, 1e5, 1e4, 1e3)]
    assert costs[0] == 0  # delta alone covers it
    assert costs == sorted(costs)
    assert 0 < costs[1] < costs[3] < 0.01


# -- properties --------------------------------------------------------------------------------

RELEASES = st.builds(
    event,
    st.sampled_from([0.8, 1.5, 4.0, 40.0]),
    st.sampled_from([0.05, 0.25, 1.0]),
    st.integers(1, 50),
)


@given(st.lists(RELEASES, min_size=1, max_size=5), st.randoms())
@settings(max_examples=20)
def test_order_and_grouping_do_not_matter_to_the_last_bit(events, random):
    whole = epsilon(events, 1e-3)
    single = [
        event(entry.noise_multiplier, entry.sample_rate)
        for entry in events
        for _ in range(entry.steps)
    ]
    random.shuffle(single)
    assert epsilon(single, 1e-3) == whole


@given(st.lists(RELEASES, max_size=4), RELEASES)
@settings(max_examples=20)
def test_no_further_release_makes_it_less(events, another):
    assert epsilon([*events, another], 1e-3) >= epsilon(events, 1e-3)


# -- calibration -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "delta", "q", "steps"),
    [
        (0.01, 1e-2, 0.25, 10),
        (0.001, 1e-2, 1.0, 10),
        (1, 1e-3, 0.1, 200),
        (3, 1e-2, 0.5, 30),
        (8, 1e-2, 1.0, 12),
        (8, 1e-5, 0.01, 1000),
        (40, 1 / 40, 0.25, 4),
    ],
)
def test_calibrated_noise_never_costs_more_than_asked_and_hardly_less(target, delta, q, steps):
    sigma = calibrate(epsilon=target, delta=delta, sample_rate=q, steps=steps)
    spent = epsilon([event(sigma, q, steps)], delta)
    assert 0.999 * target - 1e-9 <= spent <= target


def test_calibrated_noise_is_that_of_opacus():
    ours = calibrate(epsilon=3.0, delta=1e-3, sample_rate=0.1, steps=200)
    theirs = get_noise_multiplier(
        target_epsilon=3.0, target_delta=1e-3, sample_rate=0.1, steps=200, accountant="rdp"
    )
    assert ours == pytest.approx(theirs, rel=0.005)
    assert ours == pytest.approx(1.83, abs=0.01)


@pytest.mark.parametrize("q", [0.25, 1.0])
def test_a_budget_that_no_noise_can_keep_is_refused(q):
    with pytest.raises(SettingError, match=r"No noise keeps .* epsilon 1e-09 .* Raise epsilon"):
        calibrate(epsilon=1e-9, delta=1e-9, sample_rate=q, steps=1)


# -- what is refused ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        {"noise_multiplier": -1.0},
        {"noise_multiplier": math.nan},
        {"noise_multiplier": 1.0, "sample_rate": 0.0},
        {"noise_multiplier": 1.0, "sample_rate": 1.1},
        {"noise_multiplier": 1.0, "steps": 0},
        {"noise_multiplier": 1.0, "steps": 2.5},
    ],
)
def test_what_is_no_release_is_refused(wrong):
    with pytest.raises(SettingError, match="must"):
        DpEvent(**wrong)


@pytest.mark.parametrize("delta", [0, 1, -0.1, math.nan])
def test_a_delta_that_is_no_probability_is_refused(delta):
    with pytest.raises(SettingError, match="delta must lie between 0 and 1"):
        epsilon([event(1.0)], delta)
    with pytest.raises(SettingError, match="delta must lie between 0 and 1"):
        calibrate(epsilon=1.0, delta=delta, sample_rate=1.0, steps=1)
