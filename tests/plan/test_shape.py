"""The shape of a plan: wherever a value of another type stands, the refusal says where."""

import copy

import pytest

from src.errors import PlanError
from src.plan import plan as plans
from src.plan.shape import check_shape
from tests.ceremonies import ROOT

PLANS = sorted((ROOT / "plan").glob("*.yaml"))
PLANS = [path for path in PLANS if path.name not in ("cols.yaml", "data.yaml")]


def wrong(*path_and_value):
    """The default plan with another value at a place."""
    plan = copy.deepcopy(plans.read(ROOT / "plan" / "plan.yaml"))
    *path, last, value = path_and_value
    node = plan
    for step in path:
        node = node[step]
    node[last] = value
    return plan


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.stem)
def test_the_plans_of_the_kit_have_the_shape(path):
    check_shape(plans.read(path), path.name)


@pytest.mark.parametrize(
    ("path_and_value", "says"),
    [
        (("network", 5), "p: network: expected a mapping, got 5"),
        (("network", "settings", [1]), "p: network.settings: expected a mapping"),
        (("network", "settings", "agg_port", "high"), "network.agg_port must be int, got 'high'"),
        (("aggregator", "settings", "rounds_to_train", True), "rounds_to_train must be int"),
        (("task_runner", "template", "../."), "task_runner: template must be a dotted class path"),
        (("task_runner", "template", "os"), "task_runner: template must be a dotted class path"),
        (("task_runner", "settings", "model", "UNet"), "task_runner.settings.model: expected"),
        (("task_runner", "settings", "model", {}), "template is missing"),
        (("task_runner", "settings", 5, 5), "expected names as keys, got 5"),
        (("tasks", "train", None), "tasks.train: expected a mapping"),
        (("tasks", "train", "function", 5), "tasks.train: function must be a name"),
        (("tasks", "train", "kwargs", []), "tasks.train.kwargs: expected a mapping"),
        (("tasks", "train", "aggregation_type", "settings", "rule", "x"), "rule: expected"),
        (("assigner", "settings", "each_round", True), "assigner.each_round must be list"),
        (("data_loader", "settings", "x", [{"template": 5}]), r"x\[0\]: template must be"),
    ],
)
def test_a_value_of_another_type_is_refused_with_its_place(path_and_value, says):
    with pytest.raises(PlanError, match=says):
        check_shape(wrong(*path_and_value), "p")


@pytest.mark.parametrize("plan", [None, [], 5, {5: {}}])
def test_what_is_no_mapping_of_sections_is_refused(plan):
    with pytest.raises(PlanError, match="p: expected"):
        check_shape(plan, "p")
