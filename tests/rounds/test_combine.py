"""The rule behind its two checks: one order, one shape, only finite values."""

import numpy as np
import pytest

from src.aggregation.krum import Krum
from src.aggregation.norm_clipping import NormClipping
from src.aggregation.weighted_mean import WeightedMean
from src.errors import RunFailed
from src.rounds.combine import combine

WHERE = "Round 3, tensor 'model'"


class Recorder:
    """A rule that remembers what it was given."""

    def combine(self, models, weights):
        self.weights = list(weights)
        return models[0]


def test_the_mean_weighs_each_site_by_its_cases():
    models = {"b": (np.float32([5.0]), 1.0), "a": (np.float32([1.0]), 3.0)}
    assert combine(WeightedMean(), models, where=WHERE).tolist() == [2.0]


def test_a_rule_gets_the_models_in_the_order_of_the_sites_names():
    rule = Recorder()
    combine(rule, {site: (np.zeros(1), weight) for weight, site in enumerate("cab")}, where=WHERE)
    assert rule.weights == [1, 2, 0]


def test_another_shape_is_refused_and_the_site_named():
    models = {"one": (np.zeros(4), 1.0), "two": (np.zeros(9), 1.0)}
    with pytest.raises(RunFailed, match=r"Round 3, .*: site two sent shape \(9,\), site one"):
        combine(WeightedMean(), models, where=WHERE)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused_and_the_site_named(value):
    models = {"one": (np.zeros(4), 1.0), "two": (np.full(4, value), 1.0)}
    with pytest.raises(RunFailed, match="site two sent values that are not finite"):
        combine(WeightedMean(), models, where=WHERE)


def of_each_site(*values: float) -> dict:
    return {f"site-{n}": (np.full(2, value, np.float32), 1.0) for n, value in enumerate(values)}


def test_too_few_sites_for_the_rules_liars_are_refused_before_anything_is_combined():
    needed = r"Round 3.*: Krum needs 5 sites to withstand liars: 1; there are 4\. Lower liars"
    with pytest.raises(RunFailed, match=needed):
        combine(Krum(), of_each_site(1, 2, 3, np.nan), where=WHERE)
    assert combine(Krum(), of_each_site(1, 2, 3, 4, 90), where=WHERE)[0] in (2, 3)


def test_a_rule_that_looks_at_changes_gets_the_model_before_the_round():
    sent, before = of_each_site(4, 4.5, 90), np.full(2, 4, np.float32)
    found = combine(NormClipping(), sent, where=WHERE, centre=before)
    np.testing.assert_allclose(found, 4 + (0 + 0.5 + 0.5) / 3, rtol=1e-6)
