"""Plans of earlier releases: each old word is refused with the new one."""

from pathlib import Path

import pytest

from src.errors import PlanError
from src.plan import moved, rules
from src.plan import plan as plans
from src.plan.sources import running

PLANS = Path(__file__).resolve().parents[2] / "plan"


@pytest.fixture
def plan():
    return plans.read(PLANS / "dp.yaml")


@pytest.mark.parametrize(("old", "new"), moved.TEMPLATES.items())
def test_an_old_template_is_refused_with_its_new_path(old, new):
    with pytest.raises(PlanError, match=rf"{old} has moved to {new}\."):
        plans.load_template(old)


@pytest.mark.parametrize("new", moved.TEMPLATES.values())
def test_every_new_path_exists(new):
    assert plans.load_template(new).__name__ == running().find(new).node.name


def test_an_old_plan_is_refused_where_the_old_path_stands(plan):
    plan["task_runner"]["settings"]["local"]["template"] = "src.privacy.dp_sgd.PatientDPSGD"
    with pytest.raises(PlanError, match=r"the plan: task_runner\.settings\.local: .* has moved to"):
        rules.check(plan)


@pytest.mark.parametrize(
    ("settings", "old", "new"),
    [
        (lambda plan: plan["task_runner"]["settings"], "releases", "reported_metrics"),
        (lambda plan: plan["task_runner"]["settings"]["local"]["settings"], "tune", "trainable"),
    ],
    ids=["releases", "tune"],
)
def test_an_old_setting_is_refused_with_its_new_name(plan, settings, old, new):
    node = settings(plan)
    node[old] = node.pop(new)
    with pytest.raises(PlanError, match=rf"unknown setting '{old}', which is now '{new}'"):
        rules.check(plan)


def test_set_on_an_old_name_tells_the_new_one(plan):
    with pytest.raises(PlanError, match="'releases', which is now 'reported_metrics'"):
        plans.change(plan, ["task_runner.releases.epsilon=1"])


def test_a_setting_of_ones_own_may_be_called_as_an_old_one_was():
    part = {"template": f"{__name__}.Tuned", "settings": {"tune": 1}}
    plans.check_settings(part)


class Tuned:
    def __init__(self, tune: int) -> None:
        self.tune = tune
