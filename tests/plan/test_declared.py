"""Declarations of parts: a silent or misspelt one is refused, and never makes a plan public."""

from pathlib import Path

import pytest
from torch import nn

from src.differential_privacy.reported_metrics import AllMetrics
from src.errors import PlanError
from src.inference.windows import Inferer
from src.plan import declared, rules
from src.plan import plan as plans
from src.plan.declared import OLD_FLAGS
from src.plan.parts import Declares
from src.training.fedavg import FedAvg
from src.training.local import LocalTraining

PLANS = Path(__file__).resolve().parents[2] / "plan"


class Training:
    """A researcher's own private training; each class below forgets a word."""

    def at_site(self, gate, site, plan, data):
        return self

    def a_round(self, rounds):
        raise NotImplementedError

    def describe(self, rounds):
        return ""


class Misspelt(Training):
    DECLARE = Declares(leaves="", spends=True)


class MisspeltFlag(Training):
    SPEND = True


class OldFlag(Training):
    SPENDS = True


class Silent(Training):
    pass


class Inheriting(LocalTraining):
    pass


class HalfSaid(Training):
    DECLARES = Declares(leaves="")


class Mistyped(Training):
    DECLARES = {"leaves": "", "spends": True}  # noqa: RUF012


class Uncounted:
    DECLARES = Declares(leaves="", spends=True)

    def at_site(self, gate, site, plan, data):
        return self


class SpendingAlgorithm(FedAvg):
    DECLARES = Declares(leaves="", per_patient=True, spends=True)


class Quiet:
    pass


class QuietAlgorithm(FedAvg):
    pass


class QuietMetrics(AllMetrics):
    pass


class QuietRule(Quiet):
    def combine(self, models, weights):
        return models[0]


class QuietNoise(Quiet):
    def check(self, encryption):
        pass

    def at_site(self, *settings):
        return self


class QuietLoss(nn.Module):
    pass


class FlaggedLoss(nn.Module):
    SPENDS = True


class FlaggedInferer(Inferer):
    SPENDS = True


class Computed(FedAvg):
    DECLARES = Declares(leaves="", per_patient=not False)


@pytest.fixture
def plan():
    return plans.read(PLANS / "plan.yaml")


def put(plan, place: str, part: type) -> None:
    plans.change(plan, [f"{place}={{template: {__name__}.{part.__name__}, settings: {{}}}}"])


@pytest.mark.parametrize(
    ("part", "words"),
    [
        (Misspelt, "has DECLARE; did you mean DECLARES"),
        (MisspeltFlag, r"does not declare leaves.*DECLARES = Declares\(leaves=…\)"),
        (OldFlag, r"class attribute SPENDS, which nobody reads.*Declares\(spends=…\)"),
        (Silent, "does not declare leaves"),
        (Inheriting, "does not declare leaves.*what it inherits was said of another"),
        (HalfSaid, "does not declare spends"),
        (Mistyped, "DECLARES must be a Declares"),
        (Uncounted, "declares spends, but has no method a_round"),
    ],
)
def test_local_training_that_does_not_declare_itself_is_refused(plan, part, words):
    put(plan, "task_runner.local", part)
    with pytest.raises(PlanError, match=rf"task_runner\.settings\.local: .*{words}"):
        rules.check(plan)


@pytest.mark.parametrize(
    ("place", "part"),
    [
        ("compression_pipeline.noise", QuietNoise),
        ("task_runner.algorithm", QuietAlgorithm),
        ("task_runner.reported_metrics", QuietMetrics),
        ("tasks.train.aggregation_type.rule", QuietRule),
    ],
)
def test_a_silent_part_is_refused_wherever_a_promise_rests_on_it(plan, place, part):
    put(plan, place, part)
    with pytest.raises(PlanError, match=r"Quiet\w+ does not declare (leaves|encrypted)"):
        rules.check(plan)


def test_spending_where_no_ledger_books_is_refused(plan):
    put(plan, "task_runner.algorithm", SpendingAlgorithm)
    with pytest.raises(PlanError, match=r"booked in no ledger.*local, reported_metrics"):
        rules.check(plan)


@pytest.mark.parametrize(
    ("place", "part"),
    [("task_runner.loss", FlaggedLoss), ("task_runner.inferer", FlaggedInferer)],
)
def test_a_flag_that_nobody_reads_is_refused_in_any_place(plan, place, part):
    put(plan, place, part)
    with pytest.raises(PlanError, match="class attribute SPENDS, which nobody reads"):
        rules.check(plan)


def test_a_loss_needs_no_declaration_in_a_public_plan(plan):
    put(plan, "task_runner.loss", QuietLoss)
    rules.check(plan)


def test_a_declaration_that_is_not_written_out_is_refused_unread(plan):
    put(plan, "task_runner.algorithm", Computed)
    with pytest.raises(PlanError, match="written out, so that they can be read without running"):
        rules.check(plan)


def test_a_misspelt_field_does_not_even_load():
    with pytest.raises(TypeError, match="spend"):
        Declares(spend=True)  # type: ignore[call-arg]


def test_what_a_class_inherits_is_not_said_of_it():
    part = {"template": "src.training.fedavg.FedAvg"}
    assert declared.declared(part) == Declares(leaves="", per_patient=True)
    inherited = {"template": f"{Inheriting.__module__}.Inheriting"}
    assert declared.declared(inherited) == Declares()


def test_every_old_flag_names_a_field_that_exists():
    assert set(OLD_FLAGS.values()) <= set(Declares.__dataclass_fields__)
