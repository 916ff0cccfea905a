"""What an algorithm counts on: a plan that does not give it is refused, with what to do."""

from pathlib import Path

import pytest

from src.errors import PlanError
from src.plan import plan as plans
from src.plan import rules
from src.plan.parts import Declares

PLANS = Path(__file__).resolve().parents[2] / "plan"
SCAFFOLD = {"template": "src.training.scaffold.Scaffold", "settings": {}}
POLICIES = "openfl.component.aggregator.straggler_handling"


class Median:
    """A rule that is no mean."""

    DECLARES = Declares(encrypted=False)

    def combine(self, models, weights):
        return sorted(models)[len(models) // 2]


def with_scaffold(name: str, *changes: str) -> dict:
    plan = plans.read(PLANS / name)
    plan["task_runner"]["settings"]["algorithm"] = SCAFFOLD
    plans.change(plan, changes)
    return plan


@pytest.mark.parametrize("name", ["plain.yaml", "plan.yaml"])
def test_scaffold_runs_encrypted_and_in_the_clear(name):
    rules.check(with_scaffold(name))


def test_scaffold_with_epochs_is_refused_and_fednova_named():
    plan = with_scaffold("plan.yaml", "task_runner.local.steps=null", "task_runner.local.epochs=2")
    with pytest.raises(PlanError, match=r"Scaffold needs as many steps at every site.*FedNova"):
        rules.check(plan)


@pytest.mark.parametrize(
    "aggregation",
    [
        {
            "template": "src.engines.openfl.aggregation_function.Rule",
            "settings": {"rule": {"template": f"{__name__}.Median", "settings": {}}},
        },
        {
            "template": "openfl.interface.aggregation_functions.median.Median",
            "settings": {},
        },
    ],
    ids=["a rule of the kit's form", "one of OpenFL's own"],
)
def test_scaffold_with_a_rule_that_is_no_mean_is_refused(aggregation):
    plan = with_scaffold("plain.yaml")
    plan["tasks"]["train"]["aggregation_type"] = aggregation
    with pytest.raises(PlanError, match="takes the next model for the weighted mean of all sites"):
        rules.check(plan)


def test_scaffold_in_the_clear_waits_for_every_site():
    policy = {
        "template": f"{POLICIES}.CutoffTimePolicy",
        "settings": {"straggler_cutoff_time": 60, "minimum_reporting": 2},
    }
    plan = with_scaffold("plain.yaml") | {"straggler_handling_policy": policy}
    with pytest.raises(PlanError, match=r"needs every site in every round.*WaitForAllPolicy"):
        rules.check(plan)
    policy["settings"]["minimum_reporting"] = 3
    rules.check(with_scaffold("plan.yaml") | {"straggler_handling_policy": policy})


@pytest.mark.parametrize("name", ["dp.yaml", "dp_site.yaml"])
@pytest.mark.parametrize("algorithm", ["scaffold.Scaffold", "fednova.FedNova"])
def test_what_keeps_or_scales_by_data_is_refused_beside_privacy(name, algorithm):
    plan = plans.read(PLANS / name)
    settings = {"steps": 3} if "fednova" in algorithm else {}
    part = {"template": f"src.training.{algorithm}", "settings": settings}
    plan["task_runner"]["settings"]["algorithm"] = part
    with pytest.raises(PlanError, match="does not declare per_patient=True"):
        rules.check(plan)


def test_fedprox_may_stand_beside_privacy():
    plan = plans.read(PLANS / "dp.yaml")
    part = {"template": "src.training.fedprox.FedProx", "settings": {"mu": 0.1}}
    plan["task_runner"]["settings"]["algorithm"] = part
    rules.check(plan)


def test_an_algorithm_without_the_hook_after_the_step_is_refused_by_its_name():
    plan = plans.read(PLANS / "plan.yaml")
    part = {"template": f"{__name__}.OfAnEarlierRelease", "settings": {}}
    plan["task_runner"]["settings"]["algorithm"] = part
    with pytest.raises(PlanError, match=r"it lacks remember, localise, after_step\. See Algorithm"):
        rules.check(plan)


class OfAnEarlierRelease:
    """Its hooks were once all."""

    DECLARES = Declares(leaves="", per_patient=True)

    def begin_round(self, model, round_number): ...
    def adjust_gradients(self, model): ...
    def end_round(self, model, steps, learning_rate): ...
