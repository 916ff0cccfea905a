"""What a part must offer at its place: refused where a method is missing, before anything runs."""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

from src.plan import parts
from src.plan.plan import PlanError, load_template

OFFERS = {  # by place in the plan
    "compression_pipeline.settings.noise": parts.Noise,
    "data_loader.settings.patches": parts.Patches,
    "task_runner.settings.algorithm": parts.Algorithm,
    "task_runner.settings.inferer": parts.Inferer,
    "task_runner.settings.local": parts.Local,
    "task_runner.settings.metrics": parts.Metrics,
    "task_runner.settings.reported_metrics": parts.ReportedMetrics,
    "tasks.*.aggregation_type.settings.rule": parts.Rule,
}


def check_offered(place: str, part: Mapping[str, Any], name: str) -> None:
    """PlanError if the part's class lacks a method that is called at its place.

    name: of the plan, for the message.
    """
    for where, protocol in OFFERS.items():
        if not fnmatchcase(place, where):
            continue
        lacking = [
            method
            for method, member in vars(protocol).items()
            if not method.startswith("_")
            and callable(member)
            and not hasattr(load_template(part["template"]), method)
        ]
        if lacking:
            raise PlanError(
                f"{name}: {place}: {part['template']} cannot stand here: it lacks "
                f"{', '.join(lacking)}. See {protocol.__name__} in src/plan/parts.py."
            )
