"""Robust rules: by hand, and what holds for any models, liars and order of sites."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import trim_mean

from src.aggregation.centred_clipping import CentredClipping
from src.aggregation.geometric_median import GeometricMedian
from src.aggregation.krum import Krum, MultiKrum
from src.aggregation.median import Median
from src.aggregation.nearest_neighbours import NearestNeighbours
from src.aggregation.norm_clipping import NormClipping
from src.aggregation.trimmed_mean import TrimmedMean
from src.errors import RunFailed, SettingError

LIARS, SITES = 2, 9
TRIMMED = {"template": "src.aggregation.trimmed_mean.TrimmedMean", "settings": {"liars": LIARS}}
CLIPPING = {"template": "src.aggregation.norm_clipping.NormClipping", "settings": {"liars": LIARS}}
RULES = {
    "median": Median(liars=LIARS),
    "trimmed mean": TrimmedMean(liars=LIARS),
    "krum": Krum(liars=LIARS),
    "multi-krum": MultiKrum(liars=LIARS),
    "geometric median": GeometricMedian(liars=LIARS),
    "norm clipping": NormClipping(liars=LIARS),
    "centred clipping": CentredClipping(liars=LIARS),
    "mixed, trimmed mean": NearestNeighbours(liars=LIARS, rule=TRIMMED),
    "mixed, norm clipping": NearestNeighbours(liars=LIARS, rule=CLIPPING),
}
every_rule = pytest.mark.parametrize("name", RULES)
seeds = st.integers(0, 2**32 - 1)


def models_of(seed: int, size: int = 6) -> np.ndarray:
    return np.random.default_rng(seed).normal(1, 0.5, (SITES, size)).astype(np.float32)


def result(name: str, models, centre=0.0, weights=None) -> np.ndarray:
    """The next model; centre: every value of the model before the round."""
    rule, weights = RULES[name], weights or [1.0] * len(models)
    if hasattr(rule, "combine_around"):
        start = np.full(len(models[0]), centre, np.float32)
        return rule.combine_around(start, list(models), weights)
    return rule.combine(list(models), weights)


def vectors(*rows: list[float]) -> list[np.ndarray]:
    return [np.array(row, np.float32) for row in rows]


# -- by hand -----------------------------------------------------------------------------------


def test_the_median_of_an_even_number_is_between_the_middle_two():
    models = vectors([1, 0], [2, -9], [10, 4], [3, 2])
    assert Median().combine(models, []).tolist() == [2.5, 1.0]


def test_the_median_of_the_largest_numbers_does_not_overflow():
    largest = float(np.finfo(np.float32).max)
    assert Median().combine(vectors([largest], [largest]), [])[0] == np.finfo(np.float32).max


def test_the_trimmed_mean_drops_one_at_each_end():
    models = vectors([1, 5], [2, 0], [3, 1], [100, -70])
    assert TrimmedMean(liars=1).combine(models, []).tolist() == [2.5, 0.5]


def test_krum_by_hand_takes_the_model_with_two_nearest_neighbours():
    """n = 5, f = 1: two neighbours. Scores of the first three: 1 + 9, 1 + 4, 4 + 9."""
    models = vectors([0], [1], [3], [7], [50])
    np.testing.assert_allclose(Krum().scores(models)[:3], [10, 5, 13])
    assert Krum().combine(models, []).tolist() == [1]


def test_multi_krum_by_hand_leaves_out_the_farthest():
    models = vectors([0], [1], [3], [7], [50])
    assert MultiKrum().combine(models, []).tolist() == [2.75]
    assert MultiKrum(averaged=2).combine(models, []).tolist() == [0.5]


def test_multi_krum_does_not_average_as_many_as_would_hold_a_liar():
    with pytest.raises(SettingError, match="at most 4, for 5 sites and 1 liars; got 5"):
        MultiKrum(averaged=5).combine(vectors([0], [1], [3], [7], [50]), [])


def test_the_geometric_median_of_a_triangle_with_an_angle_over_120_degrees_is_its_corner():
    models = vectors([0, 0], [10, 1], [-10, 1])
    np.testing.assert_allclose(GeometricMedian().combine(models, []), [0, 0], atol=1e-5)


def test_the_geometric_median_follows_the_cases_where_the_plan_trusts_them():
    models = vectors([0, 0], [1, 0], [0, 1])
    trusting = GeometricMedian(by_cases=True)
    np.testing.assert_allclose(trusting.combine(models, [1, 5, 1]), [1, 0], atol=1e-5)
    with pytest.raises(RunFailed, match="weights must sum to more than 0"):
        trusting.combine(models, [0, 0, 0])


def test_norm_clipping_by_hand():
    """Around [1, 1] the updates are 1, 2 and 10 long; the median is 2."""
    models = vectors([2, 1], [1, 3], [11, 1])
    found = NormClipping().combine_around(np.ones(2, np.float32), models, [])
    np.testing.assert_allclose(found, [1 + (1 + 2) / 3, 1 + 2 / 3], rtol=1e-6)


def test_sites_that_change_nothing_leave_the_model_to_norm_clipping():
    models = [np.ones(2, np.float32)] * 3
    found = NormClipping().combine_around(np.ones(2, np.float32), models, [])
    assert found.tolist() == [1, 1]


def test_two_rounds_of_centred_clipping_by_hand():
    """tau = 1, v = 0: (.5 + 1 + 1) / 3. Then v = 5/6: u - v = -1/3, 1/6 and 9 1/6, cut to 1."""
    rule = CentredClipping(radius=1.0, iterations=1)
    before, state = np.zeros(1, np.float32), {}
    sent = [vectors([0.5], [1], [10]), vectors([5 / 6 + 0.5], [5 / 6 + 1], [5 / 6 + 10])]
    found = []
    for models in sent:
        combined = rule.combine_around(rule.centre(before, state), models, [])
        before, state = rule.step(before, combined, state)
        found.append(float(before[0]))
    first = 2.5 / 3
    assert found == pytest.approx([first, 2 * first + (-1 / 3 + 1 / 6 + 1) / 3], rel=1e-6)


def test_mixing_by_hand_replaces_each_model_by_the_mean_of_its_nearest():
    """n = 4, f = 1: three each, its own among them."""
    rule = NearestNeighbours(rule={"template": "src.aggregation.median.Median", "settings": {}})
    models = vectors([0], [1], [3], [11])
    assert [round(float(m[0]), 5) for m in rule.mixed(models)] == [1.33333, 1.33333, 1.33333, 5]
    assert rule.combine(models, [])[0] == pytest.approx(4 / 3)


def test_mixing_gives_a_rule_with_a_state_its_centre_and_step():
    rule = NearestNeighbours(
        rule={"template": "src.aggregation.centred_clipping.CentredClipping", "settings": {}}
    )
    before = np.zeros(1, np.float32)
    assert rule.centre(before, {"v": np.ones(1)})[0] == 1
    assert rule.step(before, np.ones(1), {})[1]["v"][0] == 1


# -- for any models ----------------------------------------------------------------------------


@every_rule
@given(seed=seeds)
def test_the_order_of_the_sites_does_not_matter(name, seed):
    models = models_of(seed)
    other = np.random.default_rng(seed).permutation(models)
    np.testing.assert_allclose(result(name, other), result(name, models), atol=1e-5)


@every_rule
@given(seed=seeds, by=st.floats(-3, 3))
def test_moving_all_models_moves_the_result(name, seed, by):
    models, by = models_of(seed), np.float32(by)
    moved = result(name, models + by, centre=by)
    np.testing.assert_allclose(moved, result(name, models) + by, atol=2e-5)


@every_rule
@given(seed=seeds, by=st.floats(0.25, 8))
def test_scaling_all_models_scales_the_result(name, seed, by):
    models, by = models_of(seed), np.float32(by)
    np.testing.assert_allclose(result(name, models * by), result(name, models) * by, atol=1e-4)


@every_rule
@given(seed=seeds)
def test_equal_models_stay_as_they_are(name, seed):
    model = models_of(seed)[0]
    np.testing.assert_allclose(result(name, [model] * SITES, centre=0.5), model, atol=1e-6)


@every_rule
@given(seed=seeds)
def test_a_site_that_claims_a_million_cases_weighs_no_more(name, seed):
    models = models_of(seed)
    claimed = result(name, models, weights=[1e6] + [1.0] * (SITES - 1))
    np.testing.assert_array_equal(claimed, result(name, models))


@every_rule
@given(
    seed=seeds,
    lie=st.sampled_from([1e30, -1e30, 1e6, 3.4e38, -3.4e38, 50.0]),
    same=st.booleans(),
)
def test_liars_move_the_result_no_further_than_the_honest_spread(name, seed, lie, same):
    """No further than twice the longest distance of an honest model from the honest mean; a rule
    that shortens: than the longest honest update."""
    models = models_of(seed)
    models[:LIARS] = lie
    if not same:
        models[0] = -models[0]
    honest = models[LIARS:].astype(np.float64)
    mean = honest.mean(0)
    spread = np.linalg.norm(honest - mean, axis=1).max()
    if "clipping" in name:
        spread = np.linalg.norm(honest, axis=1).max()
    assert np.linalg.norm(result(name, models) - mean) <= 2 * spread


@pytest.mark.parametrize("name", ["median", "trimmed mean"])
@given(seed=seeds, lie=st.floats(-1e30, 1e30))
def test_each_value_stays_between_those_of_honest_sites(name, seed, lie):
    models = models_of(seed)
    models[:LIARS] = lie
    honest, found = models[LIARS:], result(name, models)
    assert (found >= honest.min(0) - 1e-6).all()
    assert (found <= honest.max(0) + 1e-6).all()


@pytest.mark.parametrize("name", ["krum", "multi-krum", "geometric median"])
def test_beside_a_lie_of_1e30_the_honest_models_are_told_apart_exactly(name):
    models = models_of(3, size=100)
    lied = models.copy()
    lied[:LIARS] = 1e30
    spread = np.linalg.norm(models[LIARS:] - models[LIARS:].mean(0), axis=1).max()
    assert np.linalg.norm(result(name, lied) - models[LIARS:].mean(0)) < 1.5 * spread
    assert np.abs(result(name, lied)).max() < np.abs(models).max() + 0.1


@given(seed=seeds)
def test_the_trimmed_mean_is_scipys(seed):
    models = models_of(seed)
    expected = trim_mean(models.astype(np.float64), LIARS / SITES + 1e-9, axis=0)
    np.testing.assert_allclose(result("trimmed mean", models), expected, atol=1e-6)


# -- settings ----------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", [Median, TrimmedMean, Krum, GeometricMedian, CentredClipping])
def test_a_number_of_liars_that_is_none_is_refused(rule):
    with pytest.raises(SettingError, match="liars must be a whole number of at least 0"):
        rule(liars=-1)


@pytest.mark.parametrize(
    ("name", "needed"),
    [(name, 7 if "krum" in name else 5) for name in RULES],
)
def test_the_number_of_sites_for_two_liars(name, needed):
    assert RULES[name].sites_needed == needed


def test_mixing_needs_what_its_rule_needs():
    krum = {"template": "src.aggregation.krum.Krum", "settings": {"liars": 3}}
    assert NearestNeighbours(liars=1, rule=krum).sites_needed == 9
