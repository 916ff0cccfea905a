"""Plans: what unfolds, what changes, and what is refused with which words."""

from pathlib import Path

import pytest
import yaml
from torch import nn

from src.data.patches import Patches
from src.errors import PlanError
from src.plan import plan as plans
from src.plan import rules
from src.plan.parts import Declares
from src.training.fedavg import FedAvg

PLANS = Path(__file__).resolve().parents[2] / "plan"
NAMES = sorted(p.name for p in PLANS.glob("*.yaml") if p.name not in ("cols.yaml", "data.yaml"))


@pytest.fixture
def plan():
    return plans.read(PLANS / "plan.yaml")


@pytest.mark.parametrize("name", NAMES)
def test_every_shipped_plan_can_be_run(name):
    rules.check(plans.read(PLANS / name))


@pytest.mark.parametrize("name", NAMES)
def test_every_shipped_plan_says_in_its_first_line_what_it_is(name):
    assert (PLANS / name).read_text().startswith("# ")


def test_an_unfolded_plan_is_complete(plan):
    assert "defaults" not in yaml.safe_dump(plan)
    assert plan["task_runner"]["settings"]["local"]["settings"]["batch_size"] == 2


def test_the_plans_settings_win_over_its_defaults(tmp_path):
    (tmp_path / "d.yaml").write_text("template: a.B\nsettings: {x: 1, y: 2, z: {p: 1}}")
    section = plans._with_defaults(
        {"defaults": "d.yaml", "settings": {"y": 3, "z": {"q": 4}}}, tmp_path / "p.yaml", "s"
    )
    assert section == {"template": "a.B", "settings": {"x": 1, "y": 3, "z": {"p": 1, "q": 4}}}


def test_another_template_does_not_inherit_the_old_ones_settings():
    old = {"algorithm": {"template": "a.B", "settings": {"mu": 1}}}
    new = {"algorithm": {"template": "c.D", "settings": {"k": 2}}}
    assert plans._merged(old, new) == new


def test_a_section_with_another_template_does_not_inherit_its_defaults_settings(tmp_path):
    (tmp_path / "d.yaml").write_text("template: a.B\nsettings: {x: 1}")
    section = {"defaults": "d.yaml", "template": "c.D", "settings": {"y": 2}}
    unfolded = plans._with_defaults(section, tmp_path / "p.yaml", "s")
    assert unfolded == {"template": "c.D", "settings": {"y": 2}}


def test_a_missing_defaults_file_is_an_error_not_an_empty_section(tmp_path):
    (tmp_path / "p.yaml").write_text("aggregator: {defaults: nowhere.yaml}")
    with pytest.raises(PlanError, match=r"aggregator: defaults 'nowhere.yaml' is not a file"):
        plans.read(tmp_path / "p.yaml")


def test_a_missing_plan_is_named():
    with pytest.raises(PlanError, match=r"nope.yaml: no such file"):
        plans.read(Path("nope.yaml"))


def test_a_misspelt_section_is_named_with_the_right_word(tmp_path):
    (tmp_path / "p.yaml").write_text("agregator: {}")
    with pytest.raises(PlanError, match=r"'agregator'; did you mean 'aggregator'"):
        plans.read(tmp_path / "p.yaml")


def test_set_reaches_nested_settings_without_the_word_settings(plan):
    plans.change(plan, ["task_runner.local.learning_rate=0.5", "aggregator.rounds_to_train=3"])
    assert plan["task_runner"]["settings"]["local"]["settings"]["learning_rate"] == 0.5
    assert plan["aggregator"]["settings"]["rounds_to_train"] == 3


def test_set_can_add_a_setting_that_only_the_class_knows(plan):
    plans.change(plan, ["task_runner.local.clip_norm=1.5"])
    rules.check(plan)
    assert plan["task_runner"]["settings"]["local"]["settings"]["clip_norm"] == 1.5


@pytest.mark.parametrize(
    ("assignment", "words"),
    [
        ("task_runner.lokal.steps=3", "'lokal'; did you mean 'local'"),
        ("task_runner.local.steps", "expected key=value"),
        ("agregator.x=1", "did you mean 'aggregator'"),
    ],
)
def test_set_names_what_it_cannot_find(plan, assignment, words):
    with pytest.raises(PlanError, match=words):
        plans.change(plan, [assignment])


def test_a_misspelt_template_is_named_with_the_right_word(plan):
    plan["task_runner"]["settings"]["algorithm"]["template"] = "src.training.fedavg.FedAgv"
    with pytest.raises(PlanError, match=r"algorithm: template .*'FedAgv'; did you mean 'FedAvg'"):
        rules.check(plan)


def test_a_missing_module_is_named(plan):
    plan["task_runner"]["settings"]["algorithm"]["template"] = "src.training.fedagv.FedAvg"
    with pytest.raises(PlanError, match=r"there is no module src.training.fedagv"):
        rules.check(plan)


def test_a_misspelt_setting_is_named_with_the_right_word(plan):
    plan["task_runner"]["settings"]["local"]["settings"]["learning_rat"] = 1
    with pytest.raises(PlanError, match=r"local: .*'learning_rat'; did you mean 'learning_rate'"):
        rules.check(plan)


def test_a_setting_of_a_class_further_up_is_known(plan):
    plan["aggregator"]["settings"]["log_memory_usage"] = True  # OpenFL's own, not the kit's
    rules.check(plan)


def test_a_missing_setting_is_named(plan):
    del plan["task_runner"]["settings"]["loss"]
    with pytest.raises(PlanError, match=r"task_runner: .*setting 'loss' is missing"):
        rules.check(plan)


@pytest.mark.parametrize(("where", "value", "why"), rules.REFUSED)
def test_every_dangerous_switch_is_refused_with_its_reason(plan, where, value, why):
    section, setting = where.split(".")
    plan[section]["settings"][setting] = value
    with pytest.raises(PlanError, match=f"{where} is {value}"):
        rules.check(plan)


def test_a_rule_that_looks_into_updates_is_refused_where_they_are_encrypted(plan):
    rule = {"template": "src.aggregation.weighted_mean.WeightedMean", "settings": {}}
    plan["tasks"]["train"]["aggregation_type"]["settings"]["rule"] = rule
    with pytest.raises(PlanError, match=r"tasks\.train: .*WeightedMean.*cannot look into"):
        rules.check(plan)


def test_a_sum_of_encrypted_updates_is_refused_where_they_are_plain():
    plan = plans.read(PLANS / "plain.yaml")
    rule = {"template": "src.secure_aggregation.encrypted_sum.EncryptedSum", "settings": {}}
    plan["tasks"]["train"]["aggregation_type"]["settings"]["rule"] = rule
    with pytest.raises(PlanError, match=r"tasks\.train: .*EncryptedSum.*come unencrypted"):
        rules.check(plan)


@pytest.mark.parametrize(
    ("name", "other", "taken"),
    [
        ("plan.yaml", "aggregator", "encrypted_aggregator.yaml"),
        ("plain.yaml", "encrypted_aggregator", "defaults/aggregator.yaml"),
    ],
)
def test_the_aggregator_must_fit_the_pipeline(name, other, taken):
    plan = plans.read(PLANS / name)
    plan["aggregator"] = yaml.safe_load((PLANS / "defaults" / f"{other}.yaml").read_text())
    with pytest.raises(PlanError, match=rf"aggregator: .*Pipeline: take .*{taken}"):
        rules.check(plan)


def test_openfls_own_assigners_are_refused(plan):
    grouped = "openfl.component.RandomGroupedAssigner"
    plan["assigner"] = {"template": grouped, "settings": {"task_groups": []}}
    with pytest.raises(PlanError, match=r"assigner: .*never validate the final model"):
        rules.check(plan)


@pytest.mark.parametrize(
    "pipeline", ["STCPipeline", "KCPipeline", "EdenPipeline", "NoCompressionPipeline"]
)
@pytest.mark.parametrize("name", ["plan.yaml", "plain.yaml"])
def test_openfls_own_pipelines_are_refused(name, pipeline):
    plan = plans.read(PLANS / name)
    plan["compression_pipeline"] = {"template": f"openfl.pipelines.{pipeline}", "settings": {}}
    with pytest.raises(PlanError, match=r"compression_pipeline: .* is none of this kit's"):
        rules.check(plan)


def test_a_rule_that_openfl_could_not_call_is_refused():
    plan = plans.read(PLANS / "plain.yaml")
    rule = {"template": "src.aggregation.weighted_mean.WeightedMean", "settings": {}}
    plan["tasks"]["train"]["aggregation_type"] = rule
    with pytest.raises(PlanError, match=r"tasks\.train\.aggregation_type: .*inside .*Rule"):
        rules.check(plan)


def test_openfls_own_aggregations_can_be_called():
    plan = plans.read(PLANS / "plain.yaml")
    median = "openfl.interface.aggregation_functions.median.Median"
    plan["tasks"]["train"]["aggregation_type"] = {"template": median, "settings": {}}
    rules.check(plan)


LOCAL = {"function": "validate_task", "kwargs": {"apply": "local"}}


@pytest.mark.parametrize("name", ["plan.yaml", "dp.yaml", "dp_site.yaml", "full.yaml"])
def test_a_task_that_scores_a_sites_own_model_is_refused_wherever_that_is_hidden(name):
    plan = plans.read(PLANS / name)
    rules.check(plan)
    plan["tasks"]["locally_tuned_model_validation"] = LOCAL  # defined, and in no round
    with pytest.raises(PlanError, match=r"tasks\.locally_tuned_model_validation: apply: local"):
        rules.check(plan)


def test_a_plain_plan_may_have_it():
    plan = plans.read(PLANS / "plain.yaml")
    plan["tasks"]["locally_tuned_model_validation"] = LOCAL
    plan["assigner"]["settings"]["each_round"].append("locally_tuned_model_validation")
    rules.check(plan)


@pytest.mark.parametrize(
    ("setting", "value"),
    [("bits", 20), ("min_sites", 2), ("most_cases", 0), ("cases", {"one": 0}), ("max_void", -1)],
)
def test_impossible_settings_of_encryption_are_refused_by_name(plan, setting, value):
    plan["compression_pipeline"]["settings"][setting] = value
    with pytest.raises(PlanError, match=setting.replace("_", ".")):
        rules.check(plan)


def test_a_task_without_train_or_valid_in_its_name_is_refused(plan):
    plan["tasks"]["learn"] = plan["tasks"]["train"]
    with pytest.raises(PlanError, match=r"tasks.learn: .*must contain 'train' or 'valid'"):
        rules.check(plan)


def test_a_plan_without_global_validation_is_refused(plan):
    plan["tasks"] = {"train": plan["tasks"]["train"]}
    with pytest.raises(PlanError, match="no validation of the global model"):
        rules.check(plan)


def test_build_reports_what_the_class_itself_refuses():
    part = {"template": "src.training.local.LocalTraining", "settings": {"steps": 0}}
    with pytest.raises(PlanError, match=r"LocalTraining: steps must be a whole number"):
        plans.build(part)


def test_build_makes_the_object_with_its_settings():
    part = {"template": "src.training.local.LocalTraining", "settings": {"steps": 5}}
    assert plans.build(part).steps == 5


# -- plans with differential privacy --------------------------------------------------------------


@pytest.fixture
def private():
    return plans.read(PLANS / "dp.yaml")


class Unproven(nn.Module):
    """A network or loss that declares nothing of patients."""


class UnprovenPatches(Patches):
    """Patches that declare nothing."""


class Silent(FedAvg):
    """An algorithm that declares nothing."""


PATCH = "{size: [48, 64, 48], tumour_fraction: 0.7, augment: true}"


class Coupling(FedAvg):
    """An algorithm that keeps something of the data."""

    DECLARES = Declares(leaves="", per_patient=False)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            [f"task_runner.algorithm={{template: {__name__}.Coupling, settings: {{}}}}"],
            "Coupling does not declare per_patient=True: what it sends or keeps",
        ),
        (
            [
                "task_runner.reported_metrics={template: "
                "src.differential_privacy.reported_metrics.AllMetrics, settings: {}}"
            ],
            "metrics of private cases are a release too",
        ),
        (["data_loader.split=balanced"], "data_loader.split is balanced: one patient more"),
        (["compression_pipeline.most_cases=100"], "most_cases must be 1"),
        (
            [f"task_runner.loss={{template: {__name__}.Unproven, settings: {{}}}}"],
            r"task_runner.loss: \S+\.Unproven does not declare per_patient=True",
        ),
        (
            [f"task_runner.algorithm={{template: {__name__}.Silent, settings: {{}}}}"],
            "Silent does not declare leaves",
        ),
        (
            [f"data_loader.patches={{template: {__name__}.UnprovenPatches, settings: {PATCH}}}"],
            "a patch that depends on other patients",
        ),
        (
            [f"task_runner.model={{template: {__name__}.Unproven, settings: {{}}}}"],
            "BatchNorm",
        ),
    ],
    ids=["coupling", "metrics", "split", "weights", "loss", "algorithm", "patches", "model"],
)
def test_what_a_private_plan_would_not_cover_is_refused(private, changes, words):
    rules.check(private)
    plans.change(private, changes)
    with pytest.raises(PlanError, match=words):
        rules.check(private)


def test_a_plan_that_is_not_encrypted_stops_where_a_budget_is_spent(private):
    plain = plans.read(PLANS / "plain.yaml")
    private |= {key: plain[key] for key in ("aggregator", "compression_pipeline", "tasks")}
    with pytest.raises(PlanError, match="only encrypted rounds go on without a site"):
        rules.check(private)
    plans.change(private, ["task_runner.local.when_spent=stop"])
    rules.check(private)


def test_only_plans_that_promise_privacy_are_private():
    told = {name: rules.is_private(plans.read(PLANS / f"{name}.yaml")) for name in PRIVATE}
    assert told == PRIVATE


PRIVATE = {"plan": False, "plain": False, "full": False, "dp": True, "dp_site": True}
