"""A plan: what is run. Reads it, unfolds its defaults, changes settings, builds parts.

One grammar, OpenFL's own: every exchangeable part is `template` (a dotted class path) and
`settings` (keyword arguments), also where parts are nested. There is no registry: a new algorithm,
rule or mechanism is one file in `src/` and one plan that names it.
"""

import difflib
import inspect
from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from src.errors import PlanError, SettingError, WireError
from src.files import bounded
from src.plan import moved
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
    """
    plan = _mapping(path)
    unknown = set(plan) - set(SECTIONS)
    if unknown:
        raise PlanError(f"{path}: unknown section {_did_you_mean(unknown.pop(), SECTIONS)}.")
    for name, section in plan.items():
        if not isinstance(section, dict):
            raise PlanError(f"{path}: section {name} must be a mapping, got {section!r}.")
        plan[name] = _with_defaults(section, path, name)
    missing = [name for name in SECTIONS if name not in plan]
    if missing:
        raise PlanError(
            f"{path}: section {missing[0]} is missing. Add it, or take it over with "
            f"`{missing[0]}: {{defaults: defaults/{missing[0]}.yaml}}`."
        )
    return plan


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
            raise PlanError(f"--set {assignment}: no key {_did_you_mean(last, node)}.")
        try:
            node[last] = yaml_value(value)
        except WireError as error:
            raise PlanError(f"--set {assignment}: {error}") from None


def _inside(node: Mapping[str, Any], step: str, assignment: str) -> Any:
    for candidate in (node, node.get("settings") or {}):
        if isinstance(candidate.get(step), dict):
            return candidate[step]
    known = [*node, *(node.get("settings") or {})]
    raise PlanError(f"--set {assignment}: no part {_did_you_mean(step, known)}.")


def build(part: Mapping[str, Any], **given: Any) -> Any:
    """The object that a part describes: its template called with its settings and `given`.

    PlanError: the template does not exist, or a setting is unknown or refused by the class.
    """
    settings = part.get("settings") or {}
    template = load_template(part.get("template"))
    check_settings(part, given=given)
    try:
        return template(**settings, **given)
    except SettingError as error:
        raise PlanError(f"{part['template']}: {error}") from error


def load_template(template: Any) -> type:
    """The class that a dotted path names. PlanError: there is none; the message says what is."""
    if not isinstance(template, str) or "." not in template:
        raise PlanError(f"template must be a dotted class path, got {template!r}.")
    if template in moved.TEMPLATES:
        raise PlanError(f"template {template} has moved to {moved.TEMPLATES[template]}.")
    module_name, _, name = template.rpartition(".")
    try:
        module = import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and not module_name.startswith(error.name):
            raise  # the module is there, something that it needs is not
        raise PlanError(f"template {template}: there is no module {module_name}.") from None
    if not hasattr(module, name):
        known = [key for key in vars(module) if not key.startswith("_")]
        raise PlanError(f"template {template}: no {_did_you_mean(name, known)} in {module_name}.")
    found = getattr(module, name)
    if not isinstance(found, type):
        raise PlanError(f"template {template} is a {type(found).__name__}, expected a class.")
    return found


def check_settings(part: Mapping[str, Any], *, given: Iterable[str] = ()) -> None:
    """PlanError if a setting is none of the template's arguments, or a needed one is missing."""
    template = part["template"]
    known, needed = arguments(load_template(template))
    settings = set(part.get("settings") or {})
    for setting in sorted(settings - known):
        raise PlanError(f"{template}: unknown setting {_did_you_mean(setting, known)}.")
    for setting in sorted(needed - settings - set(given)):
        raise PlanError(f"{template}: setting {setting!r} is missing.")


def arguments(template: type) -> tuple[set[str], set[str]]:
    """(all, needed) argument names of a class, followed upwards while it takes **kwargs."""
    known: set[str] = set()
    needed: set[str] = set()
    for cls in template.__mro__[:-1]:
        if "__init__" not in vars(cls):
            continue
        _, *parameters = inspect.signature(cls.__init__).parameters.values()
        named = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
        needed |= {p.name for p in named if p.default is p.empty} - known
        known |= {p.name for p in named}
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return known, needed


def parts(plan: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every part of the plan with its dotted place, outer parts first."""
    stack: list[tuple[str, Any]] = [(name, section) for name, section in plan.items()]
    while stack:
        place, node = stack.pop(0)
        if not isinstance(node, dict):
            continue
        if "template" in node:
            yield place, node
        stack.extend((f"{place}.{key}", value) for key, value in node.items())


def _did_you_mean(word: str, known: Iterable[str]) -> str:
    known = sorted(known)
    if moved.SETTINGS.get(word) in known:
        return f"{word!r}, which is now {moved.SETTINGS[word]!r}"
    close = difflib.get_close_matches(word, known, n=1)
    if close:
        return f"{word!r}; did you mean {close[0]!r}?"
    return f"{word!r}; there are: {', '.join(known) or 'none'}"
