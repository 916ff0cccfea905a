"""A plan that is read: every shipped plan answers, in the types that are promised."""

from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

from src.errors import PlanError
from src.plan import plan as plans
from src.plan.view import Plan

PLANS = Path(__file__).resolve().parents[2] / "plan"
SHIPPED = sorted({path.stem for path in PLANS.glob("*.yaml")} - {"cols", "data"})


@pytest.fixture
def plan():
    return Plan.read(PLANS / "dp_site.yaml")


@pytest.mark.parametrize(
    "name",
    [
        "plan",
        "plain",
        "fedprox",
        "scaffold",
        "fednova",
        "fedavgm",
        "fedadam",
        "median",
        "krum",
        "nearest_neighbours",
        "full",
        "dp",
        "dp_site",
    ],
)
def test_every_shipped_plan_answers_every_question(name):
    plan = Plan.read(PLANS / f"{name}.yaml")
    asked = [name for name, found in vars(Plan).items() if isinstance(found, property)]
    assert len(asked) > 15
    for question in asked:
        getattr(plan, question)


def test_the_answers_are_the_plans_own(plan):
    assert (plan.rounds, plan.seed, plan.address, plan.port) == (10, 7, "localhost", 50051)
    assert plan.init_weights == "save/init.pbuf"
    assert plan.model["template"] == "src.model.unet.GliomaUNet"
    assert plan.trainable == ("GroupNorm", "head")
    assert plan.noise is not None
    assert plan.noise["settings"]["epsilon"] == 8
    assert plan.rule is not None
    assert plan.rule["template"].endswith(".EncryptedSum")


def test_a_plan_without_noise_or_rule_says_none(plan):
    plain = plans.read(PLANS / "plain.yaml")
    del plain["tasks"]["train"]["aggregation_type"]
    assert Plan(plain).noise is None
    assert Plan(plain).rule is None
    assert Plan(plain).trainable is None


def test_a_part_that_the_runner_does_not_have_is_named(plan):
    raw = plan.raw | {"task_runner": {"template": "parts.NoiseRunner"}}
    assert Plan(raw).runner == {}
    with pytest.raises(PlanError, match="expected the part 'model'"):
        _ = Plan(raw).model


def test_a_plan_that_is_read_cannot_be_changed(plan):
    with pytest.raises(FrozenInstanceError):
        plan.rounds = 3
    with pytest.raises(FrozenInstanceError):
        plan.raw = {}
