"""What every mechanism may spend: said once, whatever the mechanism."""

import pytest

from src.differential_privacy.dp_sgd import PatientDPSGD
from src.differential_privacy.mechanism import Mechanism
from src.differential_privacy.reported_metrics import NoisyDice
from src.differential_privacy.site_level import SiteDP
from src.errors import SettingError

ALL = {
    "patients": lambda **given: PatientDPSGD(
        sample_rate=0.5, steps=1, clip_norm=1.0, patients=4, **given
    ),
    "sites": lambda **given: SiteDP(clip_norm=1.0, **given),
    "metrics": lambda **given: NoisyDice(patients=4, **given),
    "alone": Mechanism,
}


@pytest.mark.parametrize("make", ALL.values(), ids=ALL)
def test_without_a_budget_a_run_may_spend_its_own_epsilon(make):
    assert make(epsilon=2.0, delta=1e-5).allowed == 2.0
    assert make(epsilon=2.0, delta=1e-5, budget=3.0).allowed == 3.0


@pytest.mark.parametrize("make", ALL.values(), ids=ALL)
@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"epsilon": 0.0, "delta": 1e-5}, "epsilon must be above 0"),
        ({"epsilon": 2.0, "delta": 0.5}, "delta must lie between"),
        ({"epsilon": 2.0, "delta": 1e-5, "budget": 1.0}, "budget 1.0 is below epsilon 2.0"),
        ({"epsilon": 2.0, "delta": 1e-5, "budget": 0.0}, "budget 0.0 is below epsilon 2.0"),
    ],
)
def test_what_no_run_could_keep_is_refused(make, settings, words):
    with pytest.raises(SettingError, match=words):
        make(**settings)


def test_a_run_validates_once_more_than_it_trains():
    assert ALL["metrics"](epsilon=2.0, delta=1e-5).releases(10) == 11
    assert ALL["patients"](epsilon=2.0, delta=1e-5).releases(10) == 10
