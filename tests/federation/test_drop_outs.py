"""Encrypted rounds in which somebody is lost, and comes back."""

import os
import shutil
import signal
import time

import numpy as np
import pytest

from scripts.local.processes import running
from src.engines.openfl.model_file import read_model
from src.trust import audit
from tests.federation.conftest import CASES, copy_of, enrol_noise
from tests.federation.drills import (
    events,
    kill,
    rounds,
    seen,
    start_all,
    uploads,
    wait_for,
    wait_until,
)
from tests.federation.parts import noise
from tests.patience import HANG_S

pytestmark = [pytest.mark.federation, pytest.mark.faults]
FOUR = CASES | {"four": 3}
ROUNDS = 5


def cut_off(seconds: float) -> dict:
    return {
        "template": "openfl.component.aggregator.straggler_handling.CutoffTimePolicy",
        "settings": {"straggler_cutoff_time": seconds, "minimum_reporting": 3},
    }


@pytest.mark.parametrize("how", ["kill -9", "SIGSTOP"])
def test_a_site_lost_in_a_round_makes_it_void_and_comes_back_later(tmp_path, note_drill, how):
    four = copy_of(enrol_noise(tmp_path / "enrolled", "plan.yaml", FOUR), tmp_path)
    four.change(
        f"aggregator.rounds_to_train={ROUNDS}",
        "task_runner.seconds=1",
        straggler_handling_policy=cut_off(20),
    )
    names = list(FOUR)
    with running([four.start_aggregator(), *(four.start_site(name) for name in names)]) as parties:
        wait_for(four, event="received", round=1, what="aggregated_model_validation", site="four")
        if how == "SIGSTOP":  # with its update of round 1 half made
            os.killpg(parties[4].process.pid, signal.SIGSTOP)
            wait_for(four, event="round ended", round=1)
            os.killpg(parties[4].process.pid, signal.SIGCONT)
        else:
            kill(parties[4])
            wait_for(four, event="round ended", round=1)
            parties[4] = four.start_site("four")
        for party in parties:
            assert party.process.wait(HANG_S) == 0, four.log(party.name)[-2000:]
    told = rounds(four)
    assert told[1]["void"] == "no update from four"
    assert [line["round"] for line in told if "void" in line] == [1]
    assert [line["reason"] for line in seen(four.aggregator) if line["event"] == "void round"]
    took_part = [
        [site for site in line["sites"] if "train" in line["sites"][site]["metrics"]]
        for line in told[:ROUNDS]
    ]
    assert set(took_part[0]) == set(FOUR)
    assert set(took_part[2]) == set(CASES)  # four only reports
    assert set(took_part[ROUNDS - 1]) == set(FOUR)  # and is back
    expected = sum(
        FOUR[site] / sum(FOUR[other] for other in sites) * noise(site, number).astype(np.float64)
        for number, sites in enumerate(took_part)
        if number != 1
        for site in sites
    )
    models = [
        read_model(four.aggregator / "save" / "final.pbuf", workspace)
        for workspace in four.sites.values()
    ]
    difference = float(np.abs(models[0] - expected).max())
    drill = f"{how} one of four sites: a void round (against the right mean), encrypted"
    note_drill(drill, difference)
    assert difference < ROUNDS * 4 * 2**-21 * 400 / 11
    assert all((model == models[0]).all() for model in models)
    own = audit.verify(four.aggregator / audit.FILE, four.certificates())
    assert max(map(len, uploads(own).values())) == 1


def test_three_sites_wait_for_the_one_that_was_killed(sealed):
    sealed.change("task_runner.seconds=1", straggler_handling_policy=cut_off(2))
    with running(start_all(sealed)) as parties:
        wait_until(sealed, "while round 0 is trained")
        kill(parties[3])
        time.sleep(6)
        assert not events(sealed, event="round ended", round=0)  # far beyond the cut-off
        parties[3] = sealed.start_site("three")
        for party in parties:
            assert party.process.wait(HANG_S) == 0, sealed.log(party.name)[-2000:]
    assert not [line for line in rounds(sealed) if "void" in line]


def test_fewer_sites_than_needed_are_refused_before_the_start(sealed):
    policy = cut_off(5)
    policy["settings"]["minimum_reporting"] = 2
    sealed.change(straggler_handling_policy=policy)
    with running([sealed.start_aggregator()]) as (aggregator,):
        assert aggregator.process.wait(HANG_S) not in (0, None)
    assert "raise minimum_reporting" in " ".join(sealed.log("aggregator").split())


@pytest.mark.parametrize("state_is", ["restored", "lost"])
def test_an_aggregator_from_a_backup_or_without_its_state_is_answered_no_older_round(
    sealed, state_is
):
    """Nobody can tell a backup from an attack: masks of a round are used once."""
    sealed.change("task_runner.seconds=0.5")
    state, kept = sealed.aggregator / "local_state", sealed.folder / "backup"
    with running(start_all(sealed)) as parties:
        wait_until(sealed, "after one update of round 1")
        os.killpg(parties[0].process.pid, signal.SIGSTOP)
        shutil.copytree(state, kept)
        os.killpg(parties[0].process.pid, signal.SIGCONT)
        wait_for(sealed, event="received", round=2, what="train")
        kill(parties[0])
        shutil.rmtree(state)
        if state_is == "restored":
            shutil.move(kept, state)
        parties[0] = sealed.start_aggregator()
        codes = {party.process.wait(HANG_S) for party in parties[1:]}
        assert codes == {77}
    for name in CASES:
        log = " ".join(sealed.log(name).split())
        if state_is == "restored":
            assert "answers no older round" in log or "no site answers an older round" in log
        else:
            assert "which has gone on here already" in log
    own = audit.verify(sealed.aggregator / audit.FILE, sealed.certificates())
    assert max(map(len, uploads(own).values())) == 1
