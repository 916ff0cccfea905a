"""The rule's door: what OpenFL hands over, and what is refused by name."""

import numpy as np
import pytest
from openfl.utilities import LocalTensor

from src.engines.openfl.aggregation_function import Rule
from src.errors import RunFailed

MEAN = {"template": "src.aggregation.weighted_mean.WeightedMean", "settings": {}}


class FirstModel:
    """A rule that shows in which order it is given the sites, and how often it was made."""

    def __init__(self, scale: float = 1.0):
        self.scale = scale

    def combine(self, models, weights):
        return self.scale * models[0]


def local(name: str, values, weight: float) -> LocalTensor:
    return LocalTensor(name, np.array(values, np.float32), weight)


def combine(rule: Rule, *tensors: LocalTensor) -> np.ndarray:
    return rule.call(list(tensors), iter(()), "model", 4, ("trained",))


def test_the_part_in_the_plan_does_the_work():
    mean = combine(Rule(MEAN), local("one", [0, 0], 0.25), local("two", [4, 8], 0.75))
    assert mean.tolist() == [3, 6]


def test_sites_come_in_the_order_of_their_names_so_that_sums_repeat():
    rule = Rule({"template": f"{__name__}.FirstModel"})
    assert combine(rule, local("two", [2], 0.5), local("one", [1], 0.5)).tolist() == [1]


def test_two_rules_of_one_process_keep_their_own_settings():
    part = {"template": f"{__name__}.FirstModel"}
    Rule(part | {"settings": {"scale": 1.0}})
    second = Rule(part | {"settings": {"scale": 7.0}})
    assert combine(second, local("one", [1], 1.0)).tolist() == [7]


def test_another_shape_is_refused_with_both_sites():
    with pytest.raises(RunFailed, match=r"Round 4.*site two sent shape \(3,\), site one sent"):
        combine(Rule(MEAN), local("one", [1, 2], 0.5), local("two", [1, 2, 3], 0.5))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused_with_their_site(value):
    with pytest.raises(RunFailed, match="site two sent values that are not finite"):
        combine(Rule(MEAN), local("one", [1, 2], 0.5), local("two", [1, value], 0.5))
