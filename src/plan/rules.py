"""What is refused in a plan, and why: everything that must not run, or would fail in the middle.

Held when a workspace is built, where it is approved, and again by each site before it trains.
"""

from collections.abc import Mapping
from typing import Any

from src import names
from src.errors import InputError, PlanError, SettingError
from src.plan import sources as sources_of
from src.plan.algorithms import check_algorithm
from src.plan.declared import check_declared, declared, is_private
from src.plan.engine_classes import NETWORK
from src.plan.places import check_place
from src.plan.plan import Section, build, check_settings, parts
from src.plan.shape import check_shape
from src.plan.signature import arguments
from src.plan.sources import Sources
from src.plan.view import Plan

# OpenFL hands these to the constructors itself; a plan that sets them would be overruled.
_NAMES = {"aggregator_uuid", "federation_uuid", "compression_pipeline"}
GIVEN_BY_OPENFL = {
    "aggregator": {*_NAMES, "authorized_cols", "assigner", "straggler_handling_policy"},
    "assigner": {"tasks", "authorized_cols", "rounds_to_train", "selected_task_group"},
    "collaborator": {*_NAMES, "collaborator_name", "client", "task_runner", "task_config"},
    "data_loader": {"data_path"},
    "task_runner": {"data_loader"},
}


def check(
    plan: Mapping[str, Section], *, name: str = "the plan", sources: Sources | None = None
) -> None:
    """PlanError if the plan cannot be run; the one table of what is refused, and why.

    Held at build time by `scripts workspace`, and again by each site before it trains. Nothing that
    the plan names is imported before all of it was checked; then only this kit's own classes are
    built, where settings could contradict each other.

    sources: where the plan's classes are read; None: of the kit that runs.
    """
    check_shape(plan, name)
    sources = sources or sources_of.running()
    for place, part in parts(plan):
        try:
            check_place(place, part, sources)
            if part["template"] == NETWORK:
                continue
            check_declared(place, part, sources)
            check_settings(part, given=GIVEN_BY_OPENFL.get(place, ()), sources=sources)
        except PlanError as error:
            raise PlanError(f"{name}: {place}: {error}") from None
    for where, refused, why in REFUSED:
        if _value(plan, where) == refused:
            raise PlanError(f"{name}: {where} is {refused}: {why}")
    _check_gates(plan, name)
    _check_encryption(plan, name, sources)
    _check_privacy(plan, name, sources)
    check_algorithm(plan, name, sources)
    _check_limits(plan, name)
    _check_tasks(plan["tasks"], name)
    _check_local(plan, name, sources)


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


def _check_encryption(plan: Mapping[str, Section], name: str, sources: Sources) -> None:
    """Sealed updates and rules that must look into them do not go together, nor the reverse."""
    pipeline = plan["compression_pipeline"]["template"]
    sealed = bool(declared(plan["compression_pipeline"], sources).encrypted)
    aggregates = bool(declared(plan["aggregator"], sources).encrypted)
    _check_aggregator(plan, name, sealed=sealed, aggregates=aggregates)
    for task, section in plan["tasks"].items():
        rule = _rule_in(section.get("aggregation_type"))
        adds = _adds_encrypted(rule, sources)
        if "train" in task and adds != {sealed}:
            raise PlanError(
                f"{name}: tasks.{task}: {rule['template'] if rule else 'no rule'} with {pipeline}: "
                + (
                    "the aggregator cannot look into encrypted updates, only add them; the rule "
                    "must be src.secure_aggregation.encrypted_sum.EncryptedSum (or take "
                    "plan/plain.yaml)."
                    if sealed
                    else "updates come unencrypted, and this rule adds encrypted ones. Set "
                    "compression_pipeline to src.engines.openfl.pipeline.EncryptedPipeline."
                )
            )
    if sealed:
        _check_encryption_settings(plan["compression_pipeline"], name)


def _rule_in(part: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    return ((part or {}).get("settings") or {}).get("rule")


def _adds_encrypted(rule: Mapping[str, Any] | None, sources: Sources) -> set[bool]:
    """What the rule says, and the rule within it, if it holds one."""
    said = {rule is not None and bool(declared(rule, sources).encrypted)}
    inner = _rule_in(rule)
    return said if inner is None else said | _adds_encrypted(inner, sources)


ENCRYPTION = "src.secure_aggregation.settings.Encryption"


def _check_encryption_settings(pipeline: Mapping[str, Any], name: str) -> None:
    """Settings that contradict each other: the kit's own classes are built of them, and dropped."""
    settings = dict(pipeline.get("settings") or {})
    noise = settings.pop("noise", None)
    known = arguments(ENCRYPTION, sources_of.running()).all
    settings = {key: value for key, value in settings.items() if key in known}
    settings["cases"] = settings.get("cases") or {}
    try:
        encryption = build({"template": ENCRYPTION, "settings": settings})
        if noise is not None and sources_of.is_here(noise["template"]):
            build(noise).check(encryption)
    except (PlanError, SettingError) as error:
        raise PlanError(f"{name}: compression_pipeline: {error}") from None


def _check_aggregator(
    plan: Mapping[str, Section], name: str, *, sealed: bool, aggregates: bool
) -> None:
    """The aggregator of encrypted updates and the one that reads them are two parts."""
    if aggregates != sealed:
        raise PlanError(
            f"{name}: aggregator: {plan['aggregator']['template']} with "
            f"{plan['compression_pipeline']['template']}: take "
            + (
                "src.engines.openfl.encrypted_aggregator.EncryptedAggregator (defaults/"
                "encrypted_aggregator.yaml), which adds what it cannot read."
                if sealed
                else "src.engines.openfl.aggregator.Aggregator (defaults/aggregator.yaml), or "
                "encrypt with defaults/encrypted_pipeline.yaml."
            )
        )


# (where, why its class must declare per_patient) in a plan with differential privacy
BESIDE_PRIVACY = (
    ("task_runner.algorithm", "what it sends or keeps beside the model would be outside the bound"),
    ("task_runner.loss", "a loss that ties patients together leaves the clipping without effect"),
    ("task_runner.model", "statistics of a batch (BatchNorm) tie patients together, and leave"),
    ("task_runner.personal", "it learns from patients without noise, and is handed on like any"),
    (
        "data_loader.patches",
        "a patch that depends on other patients is not bounded by clipping",
    ),
)


def _check_privacy(plan: Mapping[str, Section], name: str, sources: Sources) -> None:
    """What a guarantee of differential privacy would not cover is refused beside it."""
    if not is_private(plan, sources):
        return
    for where, why in BESIDE_PRIVACY:
        part = _value(plan, where)
        if part and not declared(part, sources).per_patient:
            raise PlanError(
                f"{name}: {where}: {part['template']} does not declare per_patient=True: {why}. "
                "Take another, or declare it in its class after proving it."
            )
    reported_metrics = _value(plan, "task_runner.reported_metrics")
    if reported_metrics and not declared(reported_metrics, sources).private:
        raise PlanError(
            f"{name}: task_runner.reported_metrics: {reported_metrics['template']}: metrics of "
            f"private cases are a "
            "release too. Take PublicValidation, NoisyDice or NoMetrics of "
            "src.differential_privacy.reported_metrics."
        )
    split = _value(plan, "data_loader.split")
    if "patches" in Plan(plan).settings("data_loader") and split != "independent":
        raise PlanError(
            f"{name}: data_loader.split is {split or 'balanced'}: one patient more could move "
            "another between training and validation. Set it to independent."
        )
    sealed = bool(declared(plan["compression_pipeline"], sources).encrypted)
    local = _value(plan, "task_runner.local") or {}
    when_spent = (local.get("settings") or {}).get("when_spent", "leave")
    if not sealed and when_spent == "leave":
        raise PlanError(
            f"{name}: task_runner.local.when_spent is leave: only encrypted rounds go on without a "
            "site that has spent its budget. Set it to stop, or encrypt."
        )
    if sealed and _value(plan, "compression_pipeline.most_cases") != 1:
        raise PlanError(
            f"{name}: compression_pipeline.most_cases must be 1: in a private plan every site "
            "weighs the same, so that no number of cases is told."
        )


def _check_limits(plan: Mapping[str, Section], name: str) -> None:
    """Settings that OpenFL takes, and then fails on in the middle of a run."""
    address = str(_value(plan, "network.agg_addr"))
    try:
        names.check_host(address)
    except InputError as error:
        raise PlanError(
            f"{name}: network.agg_addr: {error} (A host without one gets it in every site's "
            "/etc/hosts.)"
        ) from None
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


def _check_local(plan: Mapping[str, Section], name: str, sources: Sources) -> None:
    """Scores of a model before its noise, or of one that is to be read in a sum alone, are a leak.

    Refused wherever it is defined: what is not defined cannot be asked for.
    """
    sealed = bool(declared(plan["compression_pipeline"], sources).encrypted)
    if not sealed and not is_private(plan, sources):
        return
    for task, section in plan["tasks"].items():
        if (section.get("kwargs") or {}).get("apply") == "local":
            raise PlanError(
                f"{name}: tasks.{task}: apply: local scores the model that a site has trained by "
                f"itself, and this plan {'encrypts' if sealed else 'noises'} that so that nobody "
                "can tell it. Leave this task out."
            )


def _value(plan: Mapping[str, Any], where: str) -> Any:
    section, setting = where.split(".")
    return Plan(plan).settings(section).get(setting)
