"""What an algorithm counts on, and the rest of the plan must give it; else the plan is refused.

A federated algorithm is a part at the site, and what it assumes is decided elsewhere: by the rule,
by the policy for stragglers, by local training. What it counts on, it declares.
"""

from collections.abc import Mapping
from typing import Any

from src.errors import PlanError
from src.plan.declared import declared
from src.plan.engine_classes import POLICIES
from src.plan.sources import Sources
from src.plan.view import Plan

EVERYBODY = f"{POLICIES}.WaitForAllPolicy"


def check_algorithm(plan: Mapping[str, Any], name: str, sources: Sources) -> None:
    """PlanError: the plan's algorithm would not do in this plan what it is called for."""
    view = Plan(plan)
    algorithm = view.runner.get("algorithm")
    if not algorithm:  # the task runner brings its own
        return
    says = declared(algorithm, sources)
    if says.mean:
        _check_mean(view, f"{name}: task_runner.algorithm: {algorithm['template']}", sources)
    settings = (view.runner.get("local") or {}).get("settings") or {}
    if says.equal_steps and settings.get("epochs") is not None:
        raise PlanError(
            f"{name}: task_runner.algorithm: {algorithm['template']} needs as many steps at every "
            "site, and task_runner.local.epochs makes them follow the number of cases: what a site "
            "with few cases has learnt would be weighed wrongly. Set task_runner.local.steps "
            "instead, or take src.training.fednova.FedNova."
        )


def _check_mean(view: Plan, where: str, sources: Sources) -> None:
    """It reads from two models, one after the other, what all sites together have done."""
    rule = view.rule
    if rule is None or not declared(rule, sources).mean:
        raise PlanError(
            f"{where} takes the next model for the weighted mean of all sites' models; "
            f"{rule['template'] if rule else 'this plan'} makes it in another way. Set the rule of "
            "tasks.train to src.aggregation.weighted_mean.WeightedMean, or encrypt."
        )
    sealed = bool(declared(view.pipeline, sources).encrypted)
    policy = view.raw["straggler_handling_policy"]["template"]
    if not sealed and policy != EVERYBODY:
        raise PlanError(
            f"{where} needs every site in every round, and {policy} ends a round without the late "
            f"ones, who are not told. Set straggler_handling_policy to {EVERYBODY}, or encrypt: "
            "there each site sees who took part."
        )
