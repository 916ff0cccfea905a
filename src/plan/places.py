"""Places: what may stand where in a plan. A class of another kind is refused before it is imported.

By place: what the class must descend from, which methods it must offer (`src.plan.parts`), and
which of OpenFL's own classes may stand there. A part at a place that is not listed belongs to
another part of the plan: it must be a class of this kit or of the bundle, and its owner knows it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from src.errors import PlanError
from src.plan import parts
from src.plan.engine_classes import FUNCTIONS, NAMED, NETWORK, POLICIES
from src.plan.signature import attributes
from src.plan.sources import Sources

ENGINE = "src.engines.openfl"


@dataclass(frozen=True)
class Place:
    """What may stand at a place.

    offers: the Protocol whose methods it has. methods: further ones.
    descends: (package, name) of a class that it must inherit from, "" for any of the package.
    openfl: OpenFL's own classes that may stand here. only: nothing but those.
    why: said of whatever else stands there.
    """

    offers: type | None = None
    methods: tuple[str, ...] = ()
    descends: tuple[tuple[str, str], ...] = ()
    openfl: tuple[str, ...] = ()
    only: bool = False
    why: str = ""


TORCH = (("torch", ""), ("monai", ""))
PLACES = {
    "aggregator": Place(descends=((f"{ENGINE}.aggregator", "Aggregator"),)),
    "assigner": Place(
        methods=("schedule",),
        descends=((f"{ENGINE}.assigner", "TrainThenValidate"),),
        why="is no schedule of this kit's. OpenFL's own never validate the final model. Take "
        "src.engines.openfl.assigner.TrainThenValidate.",
    ),
    "collaborator": Place(descends=((f"{ENGINE}.collaborator", "Site"),)),
    "compression_pipeline": Place(
        methods=("at_site",),
        descends=(("openfl", "TransformationPipeline"),),
        why="is none of this kit's. OpenFL's own round, drop or cast values: sums would be wrong, "
        "and bounds of privacy void. Take one of src.engines.openfl.pipeline.",
    ),
    "compression_pipeline.settings.noise": Place(offers=parts.Noise),
    "data_loader": Place(descends=(("openfl", "DataLoader"),)),
    "data_loader.settings.patches": Place(offers=parts.Patches),
    "network": Place(openfl=(NETWORK,), only=True),
    "straggler_handling_policy": Place(
        descends=(("openfl", "StragglerPolicy"), (POLICIES, "")),
        openfl=tuple(name for name in NAMED if name.startswith(POLICIES)),
    ),
    "task_runner": Place(descends=(("openfl", "TaskRunner"),)),
    "task_runner.settings.algorithm": Place(offers=parts.Algorithm),
    "task_runner.settings.inferer": Place(offers=parts.Inferer),
    "task_runner.settings.local": Place(offers=parts.Local),
    "task_runner.settings.loss": Place(descends=TORCH),
    "task_runner.settings.metrics": Place(offers=parts.Metrics),
    "task_runner.settings.model": Place(descends=TORCH),
    "task_runner.settings.personal": Place(
        descends=(("src.training.local", "LocalTraining"),),
    ),
    "task_runner.settings.reported_metrics": Place(offers=parts.ReportedMetrics),
    "task_runner.settings.reported_metrics.settings.public": Place(methods=("cases",)),
    "tasks.*.aggregation_type": Place(
        methods=("call",),
        descends=(("openfl", "AggregationFunction"),),
        openfl=tuple(name for name in NAMED if name.startswith(FUNCTIONS)),
        why="is no aggregation that OpenFL could call. A rule of this kit stands inside "
        "src.engines.openfl.aggregation_function.Rule.",
    ),
    "tasks.*.aggregation_type.settings.rule": Place(offers=parts.Rule),
    "tasks.*.aggregation_type.settings.rule.settings.rule": Place(offers=parts.Rule),
}


def check_place(place: str, part: Mapping[str, Any], sources: Sources) -> None:
    """PlanError if the part may not stand here: another library's class, or another kind of one."""
    template, wanted = part["template"], at(place)
    if template in wanted.openfl:
        return
    if wanted.only:
        raise PlanError(f"{template!r} cannot stand here; expected {' or '.join(wanted.openfl)}.")
    if wanted.why and isinstance(template, str) and not sources.allows(template):
        raise PlanError(f"{template!r} {wanted.why}")
    sources.find(template)
    offered = attributes(template, sources)
    if not set(wanted.methods) <= offered:
        lacking = ", ".join(sorted(set(wanted.methods) - offered))
        raise PlanError(f"{template} {wanted.why or f'cannot stand here: it lacks {lacking}.'}")
    if wanted.offers is not None:
        _check_offered(template, wanted.offers, offered)
    if wanted.descends and not _descends(template, wanted.descends, sources):
        kinds = " or ".join(".".join(filter(None, kind)) for kind in wanted.descends)
        raise PlanError(
            f"{template} {wanted.why or f'cannot stand here: it does not inherit from {kinds}.'}"
        )


def at(place: str) -> Place:
    """What is wanted at a place; nothing in particular where it is not listed."""
    for where, wanted in PLACES.items():
        if fnmatchcase(place, where) and place.count(".") == where.count("."):
            return wanted
    return Place()


def _check_offered(template: str, protocol: type, offered: set[str]) -> None:
    lacking = [
        method
        for method, member in vars(protocol).items()
        if not method.startswith("_") and callable(member) and method not in offered
    ]
    if lacking:
        raise PlanError(
            f"{template} cannot stand here: it lacks {', '.join(lacking)}. See "
            f"{protocol.__name__} in src/plan/parts.py."
        )


def _descends(template: str, kinds: tuple[tuple[str, str], ...], sources: Sources) -> bool:
    own, others = sources.lineage(template)
    names = [f"{found.module.name}.{found.node.name}" for found in own] + others
    return any(
        name.startswith(f"{package}.") and (not last or name.rpartition(".")[2] == last)
        for name in names
        for package, last in kinds
    )
