"""The shape of a plan: sections, parts, tasks and the few settings that this kit itself reads.

Everything after it may rely on that shape; so a plan of any other is refused with the place where
it is wrong, and nothing stumbles over a number where a mapping stands in every good plan.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from src.errors import PlanError
from src.strict import shown

CLASS_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+", re.ASCII)
SETTINGS: Mapping[str, tuple[type, ...]] = {  # of settings that are read before a class takes them
    "aggregator.rounds_to_train": (int,),
    "aggregator.init_state_path": (str,),
    "aggregator.db_store_rounds": (int, type(None)),
    "assigner.each_round": (list, type(None)),
    "assigner.final": (list, type(None)),
    "collaborator.patience_s": (int, float, type(None)),
    "network.agg_addr": (str,),
    "network.agg_port": (int,),
    "straggler_handling_policy.straggler_cutoff_time": (int, float, str, type(None)),
    "task_runner.seed": (int, type(None)),
    "task_runner.device": (str, type(None)),
    "task_runner.precision": (str, type(None)),
}
# settings that are parts themselves, where there are any
PARTS = {
    "aggregator": ("gate",),
    "collaborator": ("gate",),
    "compression_pipeline": ("noise",),
    "data_loader": ("patches",),
    "task_runner": (
        "model",
        "loss",
        "algorithm",
        "local",
        "inferer",
        "metrics",
        "reported_metrics",
    ),
}


def check_shape(plan: Any, name: str) -> None:
    """PlanError unless the plan's values have the types that every plan has at their places."""
    _mapping(plan, name)
    for section, content in plan.items():
        _mapping(content, f"{name}: {section}")
        if section == "tasks":
            _check_tasks(content, f"{name}: tasks")
        else:
            _check_part(content, f"{name}: {section}")
    _check_values(plan, name)
    for section, names in PARTS.items():
        _check_parts_in(plan.get(section, {}), names, f"{name}: {section}")
    for where, kinds in SETTINGS.items():
        section, setting = where.split(".")
        value = (plan.get(section, {}).get("settings") or {}).get(setting)
        if type(value) not in kinds and not (value is None and section not in plan):
            expected = " or ".join(kind.__name__ for kind in kinds if kind is not type(None))
            raise PlanError(f"{name}: {where} must be {expected}, got {shown(value)}.")


def _mapping(value: Any, place: str) -> None:
    if not isinstance(value, dict):
        raise PlanError(f"{place}: expected a mapping, got {shown(value)}.")
    for key in value:
        if type(key) is not str:
            raise PlanError(f"{place}: expected names as keys, got {shown(key)}.")


def _check_part(part: Mapping[str, Any], place: str) -> None:
    """A part has a class path and, if it has any, a mapping of settings."""
    template = part.get("template")
    if type(template) is not str or not CLASS_PATH.fullmatch(template):
        raise PlanError(
            f"{place}: template must be a dotted class path, got {shown(template)}."
            if "template" in part
            else f"{place}: template is missing: the class that does the work."
        )
    if part.get("settings") is not None:
        _mapping(part["settings"], f"{place}.settings")


def _check_parts_in(part: Mapping[str, Any], names: Iterable[str], place: str) -> None:
    """Those of a part's settings that must be parts themselves, or nothing."""
    for name in names:
        inner = (part.get("settings") or {}).get(name)
        if inner is not None:
            _mapping(inner, f"{place}.settings.{name}")
            _check_part(inner, f"{place}.settings.{name}")


def _check_tasks(tasks: Mapping[str, Any], place: str) -> None:
    for task, content in tasks.items():
        _mapping(content, f"{place}.{task}")
        if task == "settings":
            continue
        if type(content.get("function")) is not str:
            raise PlanError(f"{place}.{task}: function must be a name of the task runner's.")
        if content.get("kwargs") is not None:
            _mapping(content["kwargs"], f"{place}.{task}.kwargs")
        rule = content.get("aggregation_type")
        if rule is not None:
            _mapping(rule, f"{place}.{task}.aggregation_type")
            _check_part(rule, f"{place}.{task}.aggregation_type")
            _check_parts_in(rule, ("rule",), f"{place}.{task}.aggregation_type")


def _check_values(value: Any, place: str) -> None:
    """Every mapping within has names as keys; one with `template` is a part, however deep."""
    if isinstance(value, dict):
        _mapping(value, place)
        if "template" in value:
            _check_part(value, place)
        for key, inner in value.items():
            _check_values(inner, f"{place}.{key}")
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            _check_values(inner, f"{place}[{number}]")
