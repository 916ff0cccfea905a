"""A plan: what is run. Reads it, unfolds its defaults, changes settings, builds parts.

One grammar, OpenFL's own: every exchangeable part is `template` (a dotted class path) and
`settings` (keyword arguments), also where parts are nested. There is no registry: a new algorithm,
rule or mechanism is one file in `src/` and one plan that names it.
"""

from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from src.errors import PlanError, SettingError, WireError
from src.files import bounded
from src.plan.signature import arguments
from src.plan.sources import MARK, Sources, did_you_mean, running
from src.strict import MOST_YAML_BYTES, yaml_value

Section = dict[str, Any]

SECTIONS = (
    "aggregator",
    "assigner",
    "collaborator",
    "compression_pipeline",
    "data_loader",
    "network",
    "straggler_handling_policy",
    "task_runner",
    "tasks",
)


def read(path: Path) -> dict[str, Section]:
    """The plan in `path` with its `defaults:` unfolded: complete, as it will be run.

    `defaults: defaults/x.yaml` in a section is looked up beside the plan; the section's own
    `settings` win over the defaults' key by key. (OpenFL 1.9 looks defaults up inside its own
    package and reads a missing file as empty, so they are unfolded here, before OpenFL sees them.)
    The plan of a built workspace has none.
    """
    plan = _mapping(path)
    built = (path.parent.parent / MARK).is_file()
    unknown = set(plan) - set(SECTIONS)
    if unknown:
        raise PlanError(f"{path}: unknown section {did_you_mean(unknown.pop(), SECTIONS)}.")
    for name, section in plan.items():
        if not isinstance(section, dict):
            raise PlanError(f"{path}: section {name} must be a mapping, got {section!r}.")
        if built and "defaults" in section:
            raise PlanError(
                f"{path}: {name} names defaults, and the plan of a workspace is complete: what is "
                "looked up elsewhere is signed by nobody. Build the workspace anew."
            )
        plan[name] = _with_defaults(section, path, name)
    missing = [name for name in SECTIONS if name not in plan]
    if missing:
        raise PlanError(
            f"{path}: section {missing[0]} is missing. Add it, or take it over with "
            f"`{missing[0]}: {{defaults: defaults/{missing[0]}.yaml}}`."
        )
    return plan


def as_openfl_reads(path: Path) -> dict[str, Any]:
    """The plan in a file as OpenFL 1.9 has it in `Plan.config`, where there are no defaults."""
    plan = _mapping(path)
    for section in plan.values():
        if isinstance(section, dict) and section.get("settings") is None:
            section["settings"] = {}
    return plan


def same(one: Path, other: Path) -> bool:
    """Whether two files hold the same plan for OpenFL."""
    try:
        return as_openfl_reads(one) == as_openfl_reads(other)
    except PlanError:
        return False


def _mapping(path: Path) -> dict[str, Any]:
    try:
        content = yaml_value(bounded(path, MOST_YAML_BYTES))
    except FileNotFoundError:
        raise PlanError(f"{path}: no such file. Plans lie in plan/; see plan/README.md.") from None
    except WireError as error:
        raise PlanError(f"{path}: {error}") from None
    if not isinstance(content, dict):
        raise PlanError(f"{path}: expected a mapping of sections, got {type(content).__name__}.")
    return content


def _with_defaults(section: Section, plan_path: Path, name: str) -> Section:
    section = dict(section)
    defaults = section.pop("defaults", None)
    if defaults is None:
        return section
    path = plan_path.parent / defaults
    if not path.is_file():
        raise PlanError(f"{plan_path}: {name}: defaults {defaults!r} is not a file ({path}).")
    return _merged(_mapping(path), section)


def _merged(below: Section, above: Section) -> Section:
    """`above` laid over `below`. A part with another template brings its own settings whole."""
    if above.get("template", below.get("template")) != below.get("template"):
        return dict(above)
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            value = _merged(old, value)
        merged[key] = value
    return merged


def change(plan: dict[str, Section], assignments: Iterable[str]) -> None:
    """Apply `key=value` assignments in place; the value is read as YAML.

    The key is the dotted path in the plan, in which the word `settings` may be left out:
    `aggregator.rounds_to_train=3`, `task_runner.algorithm.learning_rate=0.05`.
    PlanError: no such path, or no `=`.
    """
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not equals:
            raise PlanError(f"--set {assignment}: expected key=value.")
        *path, last = key.split(".")
        node: Any = plan
        for step in path:
            node = _inside(node, step, assignment)
        if last not in node and ("template" in node or "settings" in node):
            node = node.setdefault("settings", {})
        elif last not in node:
            raise PlanError(f"--set {assignment}: no key {did_you_mean(last, node)}.")
        try:
            node[last] = yaml_value(value)
        except WireError as error:
            raise PlanError(f"--set {assignment}: {error}") from None


def _inside(node: Mapping[str, Any], step: str, assignment: str) -> Any:
    for candidate in (node, node.get("settings") or {}):
        if isinstance(candidate.get(step), dict):
            return candidate[step]
    known = [*node, *(node.get("settings") or {})]
    raise PlanError(f"--set {assignment}: no part {did_you_mean(step, known)}.")


def build(part: Mapping[str, Any], **given: Any) -> Any:
    """The object that a part describes: its template called with its settings and `given`.

    PlanError: the template does not exist, or a setting is unknown or refused by the class.
    """
    settings = part.get("settings") or {}
    check_settings(part, given=given)
    template = load_template(part.get("template"))
    try:
        return template(**settings, **given)
    except SettingError as error:
        raise PlanError(f"{part['template']}: {error}") from error


def load_template(template: Any) -> type:
    """The class that a dotted path names, imported: one of this kit, or of the bundle that runs.

    PlanError: there is none, or no plan may name it; then nothing was imported.
    """
    found = running().find(template)
    try:
        module = import_module(found.module.name)
    except ModuleNotFoundError as error:
        if error.name and not found.module.name.startswith(error.name):
            raise  # the module is there, something that it needs is not
        raise PlanError(f"template {template}: there is no module {found.module.name}.") from None
    loaded = getattr(module, found.node.name, None)
    origin = getattr(module, "__file__", None)
    same = origin is not None and Path(origin).resolve() == found.module.path.resolve()
    named = isinstance(loaded, type) and f"{loaded.__module__}.{loaded.__qualname__}"
    if not isinstance(loaded, type) or not same or named != template:
        raise PlanError(
            f"template {template}: expected the class that {found.module.path} defines, got "
            f"{loaded!r} of {origin}. Nothing was built."
        )
    return loaded


def check_settings(
    part: Mapping[str, Any], *, given: Iterable[str] = (), sources: Sources | None = None
) -> None:
    """PlanError if a setting is none of the template's arguments, or a needed one is missing."""
    template = part.get("template")
    takes = arguments(template, sources or running())
    settings = part.get("settings") or {}
    if not isinstance(settings, Mapping) or not all(isinstance(name, str) for name in settings):
        raise PlanError(f"{template}: settings must be a mapping of names, got {settings!r}.")
    for setting in sorted(set(settings) - takes.all):
        if not takes.open:
            raise PlanError(f"{template}: unknown setting {did_you_mean(setting, takes.all)}.")
    for setting in sorted(takes.needed - set(settings) - set(given)):
        raise PlanError(f"{template}: setting {setting!r} is missing.")


def parts(plan: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every part of the plan with its dotted place, outer parts first."""
    stack: list[tuple[str, Any]] = [(name, section) for name, section in plan.items()]
    while stack:
        place, node = stack.pop(0)
        if isinstance(node, list):
            stack.extend((f"{place}.{number}", value) for number, value in enumerate(node))
        elif isinstance(node, dict):
            if "template" in node:
                yield place, node
            stack.extend((f"{place}.{key}", value) for key, value in node.items())
