"""The rule behind its two checks: one order, one shape, only finite values."""

import numpy as np
import pytest

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
