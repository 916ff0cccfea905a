"""Robust rules in a plan: what they cannot stand beside is refused before anything starts."""

from pathlib import Path

import pytest

from src.errors import PlanError
from src.plan import plan as plans
from src.plan import rules

PLANS = Path(__file__).resolve().parents[2] / "plan"
ROBUST = [
    "median.Median",
    "trimmed_mean.TrimmedMean",
    "krum.Krum",
    "krum.MultiKrum",
    "geometric_median.GeometricMedian",
    "norm_clipping.NormClipping",
    "centred_clipping.CentredClipping",
]
SUM = "src.secure_aggregation.encrypted_sum.EncryptedSum"


def part(name: str) -> dict:
    return {"template": f"src.aggregation.{name}", "settings": {"liars": 1}}


def mixing(inner: dict) -> dict:
    mixed = part("nearest_neighbours.NearestNeighbours")
    mixed["settings"]["rule"] = inner
    return mixed


def with_rule(plan_name: str, rule: dict) -> dict:
    plan = plans.read(PLANS / f"{plan_name}.yaml")
    plan["tasks"]["train"]["aggregation_type"]["settings"]["rule"] = rule
    return plan


@pytest.mark.parametrize("name", ROBUST)
@pytest.mark.parametrize("mixed", [False, True])
def test_they_run_in_the_clear_and_are_refused_where_updates_are_encrypted(name, mixed):
    rule = mixing(part(name)) if mixed else part(name)
    rules.check(with_rule("plain", rule))
    with pytest.raises(PlanError, match="cannot look into encrypted updates, only add them"):
        rules.check(with_rule("plan", rule))


@pytest.mark.parametrize("name", ROBUST)
def test_scaffold_is_refused_beside_them(name):
    plan = with_rule("plain", part(name))
    scaffold = {"template": "src.training.scaffold.Scaffold", "settings": {}}
    plan["task_runner"]["settings"]["algorithm"] = scaffold
    with pytest.raises(PlanError, match="takes the next model for the weighted mean"):
        rules.check(plan)


@pytest.mark.parametrize("plan_name", ["plain", "plan"])
def test_mixing_encrypted_models_is_refused(plan_name):
    rule = mixing({"template": SUM, "settings": {}})
    with pytest.raises(PlanError, match="NearestNeighbours with src"):
        rules.check(with_rule(plan_name, rule))


def test_what_is_no_rule_cannot_stand_within_mixing():
    inner = {"template": "src.training.fedavg.FedAvg", "settings": {}}
    with pytest.raises(PlanError, match=r"rule\.settings\.rule: .*it lacks combine"):
        rules.check(with_rule("plain", mixing(inner)))


def test_a_typing_error_within_mixing_is_found():
    inner = part("median.Median")
    inner["settings"] = {"liar": 1}
    with pytest.raises(PlanError, match="unknown setting 'liar'; did you mean 'liars'"):
        rules.check(with_rule("plain", mixing(inner)))
