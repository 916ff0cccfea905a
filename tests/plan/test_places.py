"""What may stand where: a part of another place, of another kind or library is refused."""

from pathlib import Path

import pytest

from src.errors import PlanError
from src.plan import plan as plans
from src.plan import rules
from src.plan.parts import Declares
from src.plan.places import PLACES, at

PLANS = Path(__file__).resolve().parents[2] / "plan"
SHIPPED = sorted({path.stem for path in PLANS.glob("*.yaml")} - {"cols", "data"})


class NotAtSite:
    """A researcher's own training that nothing calls at a site."""

    DECLARES = Declares(leaves="", spends=False)


@pytest.mark.parametrize("name", SHIPPED)
def test_every_part_of_the_shipped_plans_offers_what_is_called(name):
    rules.check(plans.read(PLANS / f"{name}.yaml"))


def test_every_place_is_taken_in_a_shipped_plan():
    read = [plans.read(PLANS / f"{name}.yaml") for name in SHIPPED]
    places = {place for plan in read for place, _ in plans.parts(plan)}
    places = {place.replace("tasks.train.", "tasks.*.") for place in places}
    assert set(PLACES) <= places
    assert all(at(place) is not at("nowhere") for place in PLACES)


@pytest.mark.parametrize(
    ("where", "template", "lacking"),
    [
        ("task_runner.local", f"{__name__}.NotAtSite", "at_site"),
        ("task_runner.metrics", "src.inference.windows.Inferer", "score, summary, table"),
        ("task_runner.inferer", "src.evaluation.scoring.RegionScores", "predict"),
        ("data_loader.patches", "src.data.public_cases.SyntheticCases", "batch"),
    ],
)
def test_a_part_that_lacks_a_method_is_refused_by_its_name(where, template, lacking):
    plan = plans.read(PLANS / "plan.yaml")
    plans.change(plan, [f"{where}={{template: {template}, settings: {{}}}}"])
    with pytest.raises(PlanError, match=rf"cannot stand here: it lacks {lacking}"):
        rules.check(plan)
