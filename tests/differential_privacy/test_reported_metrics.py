"""Which numbers leave a site: all, none, those of public cases, or noised and booked ones."""

import math

import numpy as np
import pytest
from scipy import stats

from scripts.local.one_process import SigningGate
from src.differential_privacy.ledger import VARIABLE
from src.differential_privacy.reported_metrics import (
    AllMetrics,
    NoisyDice,
    NoMetrics,
    PublicValidation,
    patient_sums,
)
from src.errors import BudgetSpent, PlanError
from src.plan.view import Plan
from tests.ledgers import begun

PUBLIC = {
    "template": "src.data.public_cases.SyntheticCases",
    "settings": {"count": 2, "size": 32, "spacing_mm": 5.5},
}
ROUNDS = 3
PLAN = Plan({"aggregator": {"settings": {"rounds_to_train": ROUNDS}}})


def score(patient: str, *dice: float) -> dict:
    return {"patient_id": patient, "dice": dict(zip(("WT", "TC", "ET"), dice, strict=True))}


class Measured:
    """A validation whose scores are known. looked: whether the site has seen its own cases'."""

    looked = False

    def __init__(self, *scores) -> None:
        self.scores = list(scores)

    def own(self):
        self.looked = True
        return self.scores

    def of(self, cases):
        return [score(case.case_id, 0.25, 0.25, 0.25) for case in cases]

    def summary(self, scores):
        return {"dice": {"WT": float(np.mean([s["dice"]["WT"] for s in scores]))}}


SITE = Measured(score("a", 0.5, 0.4, 0.3), score("b", 0.7, 0.6, 0.5))


def test_all_metrics_tells_loss_means_and_numbers():
    assert AllMetrics().training(1.5) == {"loss": 1.5}
    assert AllMetrics().validation(SITE, 0) == {"dice": {"WT": pytest.approx(0.6)}}
    assert AllMetrics().validation(Measured(), 0) == {}  # nobody fell to validation
    assert AllMetrics().cases(7) == 7


def test_no_metrics_tells_nothing_though_the_site_looks():
    measured = Measured(score("a", 0.5, 0.4, 0.3))
    assert NoMetrics().training(1.5) == {}
    assert NoMetrics().validation(measured, 0) == {}
    assert measured.looked
    assert NoMetrics().cases(7) == NoMetrics().cases(900)


def test_public_validation_tells_the_public_cases_scores_alone():
    reported_metrics = PublicValidation(public=PUBLIC)
    found = {str(reported_metrics.validation(Measured(*own), 0)) for own in ([], SITE.scores)}
    assert found == {"{'dice': {'WT': 0.25}}"}
    assert reported_metrics.training(1.0) == {}


def test_a_wrong_public_part_is_refused_before_training():
    with pytest.raises(PlanError, match="unknown setting"):
        PublicValidation(public={**PUBLIC, "settings": {"coutn": 2}}).at_site(None, "one", {}, None)


# -- noised ---------------------------------------------------------------------------------------


def test_a_patient_of_many_scans_moves_the_sums_by_at_most_one_each():
    scans = [score("a", 1.0, 1.0, 1.0)] * 9
    assert patient_sums(scans) == {"WT": 1.0, "TC": 1.0, "ET": 1.0}
    both = patient_sums([*scans, score("b", 0.5, 0.25, 0.0), score("b", 0.7, 0.25, 0.0)])
    assert both == pytest.approx({"WT": 1.6, "TC": 1.25, "ET": 1.0})


class Data:
    """A site's patients, as the ledger is to know them."""

    def identifiers(self, part: str) -> list[str]:
        assert part == "validation"
        return ["id a", "id b"]


@pytest.fixture
def noisy_for(tmp_path, monkeypatch):
    """Makes noised Dice for so many rounds, of a site with a real ledger."""
    monkeypatch.setenv(VARIABLE, str(tmp_path / "ledgers"))

    def make(rounds: int):
        begun(tmp_path / "ledgers", SigningGate(["one"], "one"))
        settings = NoisyDice(epsilon=2.0, delta=1e-4, patients=2)
        plan = Plan({"aggregator": {"settings": {"rounds_to_train": rounds}}})
        return settings, settings.at_site(SigningGate(["one"], "one"), "one", plan, Data())

    return make


@pytest.fixture
def noisy(noisy_for):
    """The same for few rounds."""
    return noisy_for(ROUNDS)


def test_each_noised_dice_is_booked_and_then_no_more_leaves(noisy):
    _, reported_metrics = noisy
    told = [reported_metrics.validation(SITE, number) for number in range(ROUNDS + 3)]
    assert all(set(t["dice"]) == {"WT", "TC", "ET", "mean"} for t in told[: ROUNDS + 2])
    assert told[-1] == {}  # one validation a round, the last one, and one to spare
    assert reported_metrics.budget.ledger.spent(1e-4) <= 2.0


def test_a_second_run_on_the_same_patients_does_not_start(noisy):
    settings, reported_metrics = noisy
    for number in range(ROUNDS + 2):
        reported_metrics.validation(SITE, number)
    other = SigningGate(["one"], "one", run="02" * 16)
    with pytest.raises(BudgetSpent, match="one cannot take part"):
        settings.at_site(other, "one", PLAN, Data())


@pytest.mark.parametrize(("factor", "fits"), [(1, True), (2 / 3, False), (3 / 2, False)])
def test_the_noise_is_the_plans_and_other_noise_would_be_noticed(noisy_for, factor, fits):
    rounds = 100
    settings, reported_metrics = noisy_for(rounds)
    sigma = (
        reported_metrics.budget.a_round.noise_multiplier * math.sqrt(3) / 2
    )  # of two patients, public
    drawn = []
    for number in range(rounds):
        dice = reported_metrics.validation(SITE, number)["dice"]
        drawn += [dice["WT"] - 0.6, dice["TC"] - 0.5, dice["ET"] - 0.4]
    low, high = stats.chi2.ppf([5e-7, 1 - 5e-7], len(drawn))
    assert (low < np.square(np.array(drawn) / (factor * sigma)).sum() < high) is np.bool_(fits)
    assert f"noise of {sigma:.3f}" in settings.describe(rounds)


def test_without_its_ledger_nothing_leaves():
    assert NoisyDice(epsilon=2.0, delta=1e-4, patients=2).validation(SITE, 0) == {}
