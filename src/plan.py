"""A plan: what is run. Reads it, unfolds its defaults, changes settings, builds parts, refuses.

One grammar, OpenFL's own: every exchangeable part is `template` (a dotted class path) and
`settings` (keyword arguments), also where parts are nested. There is no registry: a new algorithm,
rule or mechanism is one file in `src/` and one plan that names it.
"""

import difflib
import inspect
import re
from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml

Section = dict[str, Any]

# OpenFL hands these to the constructors itself; a plan that sets them would be overruled.
_NAMES = {"aggregator_uuid", "federation_uuid", "compression_pipeline"}
GIVEN_BY_OPENFL = {
    "aggregator": {*_NAMES, "authorized_cols", "assigner", "straggler_handling_policy"},
    "assigner": {"tasks", "authorized_cols", "rounds_to_train", "selected_task_group"},
    "collaborator": {*_NAMES, "collaborator_name", "client", "task_runner", "task_config"},
    "data_loader": {"data_path"},
    "task_runner": {"data_loader"},
}
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


class PlanError(ValueError):
    """A plan that cannot be run. The message says where, what was expected and what to do."""


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
        content = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        raise PlanError(f"{path}: no such file. Plans lie in plan/; see plan/README.md.") from None
    except yaml.YAMLError as error:
        raise PlanError(f"{path}: not readable as YAML: {error}") from error
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
        node[last] = yaml.safe_load(value)


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
    except ValueError as error:
        raise PlanError(f"{part['template']}: {error}") from error


def load_template(template: Any) -> type:
    """The class that a dotted path names. PlanError: there is none; the message says what is."""
    if not isinstance(template, str) or "." not in template:
        raise PlanError(f"template must be a dotted class path, got {template!r}.")
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


def check(plan: Mapping[str, Section], *, name: str = "the plan") -> None:
    """PlanError if the plan cannot be run; the one table of what is refused, and why.

    Held at build time by `scripts/workspace`, and again by each site before it trains.
    """
    for place, part in parts(plan):
        if part["template"] == "openfl.federation.Network":
            continue  # OpenFL 1.9 names a class here that does not exist, and never loads it
        try:
            _check_place(place, part)
            check_settings(part, given=_given(place, part))
        except PlanError as error:
            raise PlanError(f"{name}: {place}: {error}") from None
    for where, refused, why in REFUSED:
        if _value(plan, where) == refused:
            raise PlanError(f"{name}: {where} is {refused}: {why}")
    _check_gates(plan, name)
    _check_encryption(plan, name)
    _check_privacy(plan, name)
    _check_limits(plan, name)
    _check_tasks(plan["tasks"], name)


# (last word of a place, method that a class there must have, why): not every class fits everywhere
FITTING = (
    (
        "compression_pipeline",
        "at_site",
        "is none of this kit's. OpenFL's own round, drop or cast values: sums would be wrong, and "
        "bounds of privacy void. Take one of src.privacy.pipeline.",
    ),
    (
        "aggregation_type",
        "call",
        "is no aggregation that OpenFL could call. A rule of this kit stands inside "
        "src.aggregation.rule.Rule.",
    ),
)


def _check_place(place: str, part: Mapping[str, Any]) -> None:
    for word, method, why in FITTING:
        if place.rpartition(".")[2] == word and not hasattr(
            load_template(part["template"]), method
        ):
            raise PlanError(f"{part['template']} {why}")


GATES = {
    "aggregator": "src.trust.gate.AggregatorGate",
    "collaborator": "src.trust.gate.SiteGate",
}

# (where, value, why): single settings with which a federation must not run.
REFUSED = (
    ("network.use_tls", False, "updates would travel in the clear. Set it to true."),
    ("network.require_client_auth", False, "anyone could pose as a site. Set it to true."),
    ("network.transport_protocol", "rest", "only gRPC is hardened and tested. Set it to grpc."),
    ("network.agg_addr", "auto", "it must equal the certificate's name. Name the host."),
    (
        "aggregator.secure_aggregation",
        True,
        "OpenFL 1.9's masks protect nothing (one number per site and run, rebuilt by the "
        "aggregator) and bias the mean when case numbers differ. Remove it.",
    ),
    (
        "aggregator.use_delta_updates",
        True,
        "whole models travel in this kit, so that a late site can join. Set it to false.",
    ),
    ("collaborator.use_delta_updates", True, "whole models travel in this kit. Set it to false."),
    (
        "collaborator.opt_treatment",
        "CONTINUE_GLOBAL",
        "optimiser state would leave the site. Use RESET.",
    ),
)


def _check_gates(plan: Mapping[str, Section], name: str) -> None:
    """Both parties' gates are the kit's own: a plan cannot leave the door open."""
    for section, template in GATES.items():
        gate = _value(plan, f"{section}.gate")
        if not isinstance(gate, dict) or gate.get("template") != template or gate.get("settings"):
            raise PlanError(f"{name}: {section}.gate must be {template} without settings.")


def _check_encryption(plan: Mapping[str, Section], name: str) -> None:
    """Sealed updates and rules that must look into them do not go together, nor the reverse."""
    pipeline = plan["compression_pipeline"]["template"]
    sealed = getattr(load_template(pipeline), "SEALS", False)
    for task, section in plan["tasks"].items():
        rule = ((section.get("aggregation_type") or {}).get("settings") or {}).get("rule")
        adds = rule is not None and getattr(load_template(rule["template"]), "ADDS_SEALED", False)
        if "train" in task and sealed != adds:
            raise PlanError(
                f"{name}: tasks.{task}: {rule['template'] if rule else 'no rule'} with {pipeline}: "
                + (
                    "the aggregator cannot look into encrypted updates, only add them; the rule "
                    "must be src.aggregation.encrypted_sum.EncryptedSum (or take plan/plain.yaml)."
                    if sealed
                    else "updates come unencrypted, and this rule adds encrypted ones. Set "
                    "compression_pipeline to src.privacy.pipeline.EncryptedPipeline."
                )
            )
        local = (section.get("kwargs") or {}).get("apply") == "local"
        if sealed and local and task in (_value(plan, "assigner.each_round") or ()):
            raise PlanError(
                f"{name}: tasks.{task}: a site that was restarted would need its trained model "
                "back, and nobody can give it. Leave this task out of assigner.each_round."
            )
    if sealed:
        build(plan["compression_pipeline"])  # settings that contradict each other


def is_private(plan: Mapping[str, Section]) -> bool:
    """Whether a part of the plan promises differential privacy."""
    return any(
        getattr(load_template(part["template"]), "SPENDS", False)
        for _, part in parts(plan)
        if part["template"] != "openfl.federation.Network"
    )


# (where, attribute that its class must have, why) in a plan with differential privacy
PER_PATIENT = (
    ("task_runner.algorithm", "what it sends or keeps beside the model would be outside the bound"),
    ("task_runner.loss", "a loss that ties patients together leaves the clipping without effect"),
    ("task_runner.model", "statistics of a batch (BatchNorm) tie patients together, and leave"),
    (
        "data_loader.patches",
        "a patch that depends on other patients is not bounded by clipping",
    ),
)


def _check_privacy(plan: Mapping[str, Section], name: str) -> None:
    """What a promise of differential privacy would not cover is refused beside it."""
    if not is_private(plan):
        return
    for where, why in PER_PATIENT:
        part = _value(plan, where)
        if part and not getattr(load_template(part["template"]), "PER_PATIENT", False):
            raise PlanError(
                f"{name}: {where}: {part['template']} does not declare PER_PATIENT: {why}. Take "
                "another, or declare it in its class after proving it."
            )
    releases = _value(plan, "task_runner.releases")
    if releases and not getattr(load_template(releases["template"]), "PRIVATE", False):
        raise PlanError(
            f"{name}: task_runner.releases: {releases['template']}: metrics of private cases are a "
            "release too. Take PublicValidation, NoisyDice or NoMetrics of src.privacy.releases."
        )
    split = _value(plan, "data_loader.split")
    if "patches" in (plan["data_loader"].get("settings") or {}) and split != "independent":
        raise PlanError(
            f"{name}: data_loader.split is {split or 'balanced'}: one patient more could move "
            "another between training and validation. Set it to independent."
        )
    sealed = getattr(load_template(plan["compression_pipeline"]["template"]), "SEALS", False)
    when_spent = (((_value(plan, "task_runner.local") or {}).get("settings")) or {}).get(
        "when_spent", "leave"
    )
    if not sealed and when_spent == "leave":
        raise PlanError(
            f"{name}: task_runner.local.when_spent is leave: only encrypted rounds go on without a "
            "site that has spent its budget. Set it to stop, or encrypt."
        )
    if sealed and plan["compression_pipeline"]["settings"].get("most_cases") != 1:
        raise PlanError(
            f"{name}: compression_pipeline.most_cases must be 1: in a private plan every site "
            "weighs the same, so that no number of cases is told."
        )


def _check_limits(plan: Mapping[str, Section], name: str) -> None:
    """Settings that OpenFL takes, and then fails on in the middle of a run."""
    address = str(_value(plan, "network.agg_addr"))
    if re.fullmatch(r"[\d.]+|.*:.*", address):
        raise PlanError(
            f"{name}: network.agg_addr is {address}: certificates carry names, no numbers. Give "
            "the host a DNS name, or one in every site's /etc/hosts."
        )
    for section in ("aggregator", "network"):
        if _value(plan, f"{section}.single_col_cert_common_name"):
            raise PlanError(
                f"{name}: {section}.single_col_cert_common_name is set: all sites would speak with "
                "one certificate, and none could be told from another. Remove it."
            )
    if (_value(plan, "aggregator.db_store_rounds") or 1) < 2:
        raise PlanError(
            f"{name}: aggregator.db_store_rounds must be 2 or more: OpenFL 1.9 forgets the model "
            "of the round that it is in."
        )
    cutoff = _value(plan, "straggler_handling_policy.straggler_cutoff_time")
    if cutoff is not None and not 0 < float(cutoff) < float("inf"):
        raise PlanError(
            f"{name}: straggler_handling_policy.straggler_cutoff_time is {cutoff}: a round would "
            "never be cut off. Give seconds."
        )


def _check_tasks(tasks: Mapping[str, Section], name: str) -> None:
    """OpenFL 1.9 reads a task's kind from its name: without the word its weight becomes -1."""
    tasks = {key: task for key, task in tasks.items() if key != "settings"}
    for task in tasks:
        if "train" not in task and "valid" not in task:
            raise PlanError(
                f"{name}: tasks.{task}: a task's name must contain 'train' or 'valid', "
                "because OpenFL takes the site's weight from it."
            )
    kwargs = [task.get("kwargs") or {} for task in tasks.values()]
    if not any(task.get("apply") == "global" for task in kwargs):
        raise PlanError(
            f"{name}: tasks: no validation of the global model (kwargs: apply: global). "
            "Without one OpenFL cannot end a round; add aggregated_model_validation."
        )


def _given(place: str, part: Mapping[str, Any]) -> set[str]:
    """What the frame will hand to this part, so that a plan need not name it."""
    if place in GIVEN_BY_OPENFL:
        return GIVEN_BY_OPENFL[place]
    return set(getattr(load_template(part["template"]), "GIVEN", ()))


def _value(plan: Mapping[str, Any], where: str) -> Any:
    section, setting = where.split(".")
    return (plan[section].get("settings") or {}).get(setting)


def _did_you_mean(word: str, known: Iterable[str]) -> str:
    known = sorted(known)
    close = difflib.get_close_matches(word, known, n=1)
    if close:
        return f"{word!r}; did you mean {close[0]!r}?"
    return f"{word!r}; there are: {', '.join(known) or 'none'}"
