"""An aggregator that asks for more than the plan says gets nothing; real processes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.local import fx
from scripts.local.processes import Party, running
from tests.federation.conftest import CASES
from tests.federation.drills import seen
from tests.patience import HANG_S

pytestmark = [pytest.mark.federation]
HOSTILE = Path(__file__).with_name("hostile_aggregator.py")
LOCAL = {"function": "validate_task", "kwargs": {"apply": "local"}}


def start_hostile(federation, mode: str) -> Party:
    """The aggregator, its process altered and nothing of what sites have approved."""
    log = federation.aggregator / "logs" / "aggregator.log"
    with log.open("a") as file:
        process = subprocess.Popen(
            [sys.executable, str(HOSTILE), mode, "aggregator", "start"],
            cwd=federation.aggregator,
            env=fx.environment(),
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    return Party("aggregator", log, process)


def received(federation) -> list[dict]:
    return [line for line in seen(federation.aggregator) if line["event"] == "received"]


def test_a_task_that_the_plan_has_in_another_round_is_refused_by_every_site(sealed):
    with running([start_hostile(sealed, "more")]) as parties:
        parties += [sealed.start_site(name) for name in CASES]
        for site in parties[1:]:
            assert site.process.wait(HANG_S) == 77, sealed.log(site.name)[-2000:]
    assert received(sealed) == []
    for name in CASES:
        refused = [line for line in seen(sealed.sites[name]) if line["event"] == "refused"]
        assert (
            "asks for aggregated_model_validation, train, final_validation in round 0"
            in (refused[-1]["reason"])
        )
        assert not [line for line in seen(sealed.sites[name]) if line["event"] == "sending"]


def test_scores_of_a_model_before_its_noise_are_in_no_plan_that_a_site_starts(sealed):
    """The attack as it was first carried out: the plan defined the task, and no round had it."""
    sealed.change(tasks=sealed.plan["tasks"] | {"locally_tuned_model_validation": LOCAL})
    with running([sealed.start_site("one")]) as (site,):
        assert site.process.wait(HANG_S) != 0
    assert "apply: local scores the model that a site has" in sealed.log("one")


def test_a_task_that_is_asked_for_again_is_answered_with_the_same_bytes(federation):
    plan = federation.plan
    federation.change(
        "aggregator.rounds_to_train=1",
        task_runner=plan["task_runner"] | {"template": "parts.Wavering"},
    )
    with running([start_hostile(federation, "first")]) as parties:
        parties += [federation.start_site(name) for name in CASES]
        for party in parties:
            assert party.process.wait(HANG_S) == 0, federation.log(party.name)[-2000:]
    for name in CASES:
        answers = [
            line["digest"]
            for line in received(federation)
            if (line["site"], line["round"]) == (name, 0)
            and line["what"] == "aggregated_model_validation"
        ]
        assert len(answers) == 4
        assert len(set(answers)) == 1
        assert "sending again what was sent before" in federation.log(name)
    lines = (federation.aggregator / "logs" / "rounds.jsonl").read_text().splitlines()
    assert len(lines) == len({json.loads(line)["round"] for line in lines})
