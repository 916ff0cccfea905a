"""`privacy`: the table of what a private plan guarantees, and of what that costs."""

import re

import pytest
from click.testing import CliRunner

from scripts.privacy import privacy
from scripts.report.plan_privacy import SITE_SIZES
from src.errors import PlanError
from tests.ceremonies import ROOT


def shown(*words: str) -> str:
    result = CliRunner().invoke(privacy, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def rows(text: str) -> dict[int, list[str]]:
    """Table rows by the number in their first column; of the last table where two share one."""
    found = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) > 2 and words[0].isdigit():
            found[int(words[0])] = words[1:]
    return found


@pytest.fixture(scope="module")
def dp() -> str:
    return shown(str(ROOT / "plan/dp.yaml"))


def test_the_noise_and_epsilon_of_rounds_are_told_up_to_the_spare_one(dp):
    assert re.search(r"noise multiplier 1\.1\d+", dp)
    spare = next(line for line in dp.splitlines() if "spare)" in line)
    rdp, prv = (float(word) for word in spare.split()[-2:])
    assert 7.99 < rdp <= 8
    assert prv < rdp
    assert spare.split()[0] == "11"


def test_every_size_of_a_site_has_a_row_by_hand(dp):
    table = rows(dp)
    assert set(SITE_SIZES) <= set(table)
    multiplier = float(re.search(r"noise multiplier (\d\.\d{4})", dp)[1])
    in_a_step, spent, delta, step, run, *word = table[16]
    assert in_a_step == "4"  # a quarter of 16
    assert 7 < float(spent) < 8
    assert delta == "0.0016"
    by_hand = multiplier * 1432**0.5 / 4  # values trainable: GroupNorm and head
    assert float(step) == pytest.approx(by_hand, abs=0.06)
    assert float(run) == pytest.approx(by_hand / 30**0.5, abs=0.006)  # 10 rounds of 3 steps
    assert word == ["doubtful"]


def test_a_whole_network_is_called_hopeless_and_a_large_delta_is_marked():
    changes = ("task_runner.local.trainable=null", "task_runner.local.delta=0.005")
    text = shown(str(ROOT / "plan/dp.yaml"), "--set", changes[0], "--set", changes[1])
    assert "933,544 of 933,544 values" in text
    table = rows(text)
    assert table[4][-1] == table[16][-1] == "hopeless"
    assert table[16][2] == "0.0800"
    assert table[32][2] == "0.1600!"  # above a tenth of a patient


def test_fewer_rounds_need_less_noise_and_noised_validation_is_told_too(dp):
    dice = (
        "task_runner.reported_metrics={template: "
        "src.differential_privacy.reported_metrics.NoisyDice, "
        "settings: {epsilon: 2, delta: 0.001, patients: 6}}"
    )
    text = shown(str(ROOT / "plan/dp.yaml"), "--rounds", "2", "--set", dice)
    less, more = (
        float(re.search(r"noise multiplier (\d\.\d{4})", found)[1]) for found in (text, dp)
    )
    assert less < more
    assert "validation Dice: epsilon 2 at delta 0.001" in text


def test_a_plan_per_site_is_told_by_numbers_of_sites():
    text = shown(str(ROOT / "plan/dp_site.yaml"))
    assert "differential privacy per site: epsilon 8" in text
    multiplier = float(re.search(r"noise multiplier (\d\.\d{4})", text)[1])
    found = {words[0]: words[1:] for words in map(str.split, text.splitlines()) if words}
    _, contributors, noise, *word = found["3"]
    assert contributors == "2"  # of three sites one may be curious
    assert float(noise) == pytest.approx(multiplier * (1432 / (2 * 3)) ** 0.5, abs=0.006)
    assert word == ["too", "few"]
    assert found["1000"][3:] == []
    assert re.search(r"\d+ sites are enough to learn something", text)
    assert re.search(r"Each patient of a site is protected as well: epsilon \d\d\.\d\d", text)


def test_a_plan_that_guarantees_nothing_is_refused():
    with pytest.raises(PlanError, match="guarantees no differential privacy"):
        shown(str(ROOT / "plan/plan.yaml"))
