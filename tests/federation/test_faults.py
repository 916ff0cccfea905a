"""Drills: whatever is killed, stopped or filled, at whatever moment, the run ends with its model.

`pytest -m faults` runs them and prints how far each final model is from the undisturbed one.
"""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from scripts.local.processes import Party, running
from tests.federation.conftest import CASES, copy_of
from tests.federation.drills import (
    MOMENTS,
    final_model,
    kill,
    logs_agree,
    lost_updates,
    mean_of_noise,
    rounds,
    seen,
    start_all,
    void_rounds,
    wait_for,
    wait_until,
)
from tests.federation.parts import noise
from tests.patience import HANG_S

pytestmark = [pytest.mark.federation, pytest.mark.faults]
ROUNDS = 3
TRAINING_S = 0.5


@pytest.fixture(
    scope="module", params=[pytest.param("plain", marks=pytest.mark.twice), "encrypted"]
)
def kind(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def ready(kind, request) -> Path:
    """An enrolled federation of that kind."""
    return request.getfixturevalue("enrolled" if kind == "plain" else "enrolled_sealed")


@pytest.fixture(scope="module")
def undisturbed(kind, ready, made_once) -> np.ndarray:
    """The final model of a run that nothing happens to."""

    def make(folder: Path) -> None:
        calm = copy_of(ready, folder)
        calm.run()
        np.save(folder / "final.npy", final_model(calm))

    return np.load(made_once(f"calm-{kind}", make) / "final.npy")


@pytest.fixture
def ends_like_an_undisturbed_run(undisturbed, note_drill):
    """Waits for the end, compares the final model, checks every log."""

    def check(federation, drill: str, parties: list[Party]) -> None:
        note_drill(name_of(federation, drill), _ends_like(undisturbed, federation, parties))

    return check


def name_of(federation, drill: str) -> str:
    return f"{drill}{', encrypted' * federation.encrypted}"


def _ends_like(undisturbed, federation, parties: list[Party]) -> float:
    for party in parties:
        assert party.process.wait(HANG_S) == 0, federation.log(party.name)[-2000:]
    expected, voids = undisturbed, void_rounds(federation)
    if voids:  # killed between sealing and keeping: nothing is encrypted twice, the round is void
        assert voids <= lost_updates(federation)
        expected = mean_of_noise(set(range(ROUNDS)) - voids)
    difference = float(np.abs(final_model(federation) - expected).max())
    # encrypted: rounding is random, and twice off by less than n * step * W / count a round
    assert difference <= (2 * ROUNDS * 3 * 2**-21 * 300 / 11 if federation.encrypted else 0)
    logs_agree(federation)
    return difference


@pytest.fixture
def drill(ready, tmp_path):
    federation = copy_of(ready, tmp_path)
    federation.change(f"task_runner.seconds={TRAINING_S}", "aggregator.idle_wait_s=2")
    return federation


# the encrypted counterparts are in test_drop_outs.py
only_plain = pytest.mark.parametrize("kind", ["plain"], indirect=True, scope="module")


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_killed_aggregator_that_is_started_again(drill, moment, ends_like_an_undisturbed_run):
    with running(start_all(drill)) as parties:
        wait_until(drill, moment)
        kill(parties.pop(0))
        parties.insert(0, drill.start_aggregator())
        ends_like_an_undisturbed_run(drill, f"kill -9 aggregator, {moment}", parties)


@pytest.mark.parametrize("moment", list(MOMENTS)[1:3])
def test_a_killed_site_that_is_started_again(drill, moment, ends_like_an_undisturbed_run):
    with running(start_all(drill)) as parties:
        wait_until(drill, moment)
        kill(parties.pop())
        parties.append(drill.start_site("three"))
        ends_like_an_undisturbed_run(drill, f"kill -9 a site, {moment}", parties)


@pytest.mark.parametrize("moment", list(MOMENTS)[1:3])
def test_all_killed_and_started_again(drill, moment, ends_like_an_undisturbed_run):
    with running(start_all(drill)) as parties:
        wait_until(drill, moment)
        for party in parties:
            kill(party)
        parties[:] = start_all(drill)
        ends_like_an_undisturbed_run(drill, f"kill -9 everybody, {moment}", parties)


@only_plain
def test_an_aggregator_that_comes_back_at_an_earlier_moment(drill, ends_like_an_undisturbed_run):
    """Its machine was restored from a backup: it is in round 0 again, the sites were in round 2."""
    state, kept = drill.aggregator / "local_state", drill.folder / "backup"
    with running(start_all(drill)) as parties:
        wait_until(drill, "after one update of round 1")
        kill(parties[0])
        shutil.copytree(state, kept)
        parties[0] = drill.start_aggregator()
        wait_for(drill, event="received", round=2, what="train")
        kill(parties[0])
        shutil.rmtree(state)
        shutil.move(kept, state)
        parties[0] = drill.start_aggregator()
        ends_like_an_undisturbed_run(drill, "aggregator restored from a backup", parties)
    repeated = [line["round"] for line in rounds(drill)]
    assert repeated.count(1) == 2  # round 1 was really done again


def test_a_frozen_aggregator(drill, ends_like_an_undisturbed_run):
    with running(start_all(drill)) as parties:
        wait_until(drill, "after one update of round 1")
        os.killpg(parties[0].process.pid, signal.SIGSTOP)
        time.sleep(8)
        os.killpg(parties[0].process.pid, signal.SIGCONT)
        ends_like_an_undisturbed_run(drill, "SIGSTOP aggregator for 8 s", parties)


CUTOFF = {
    "template": "openfl.component.aggregator.straggler_handling.CutoffTimePolicy",
    "settings": {"straggler_cutoff_time": 6, "minimum_reporting": 2},
}


@only_plain
def test_a_site_stopped_longer_than_the_cut_off_is_left_out_and_comes_back(drill, note_drill):
    drill.change(straggler_handling_policy=CUTOFF)
    with running(start_all(drill)) as parties:
        wait_until(drill, "while round 0 is trained")
        group = parties[3].process.pid
        os.killpg(group, signal.SIGSTOP)
        wait_for(drill, event="round ended", round=0)
        os.killpg(group, signal.SIGCONT)
        for party in parties:
            assert party.process.wait(HANG_S) == 0, party.name
    took_part = [
        [site for site, told in line["sites"].items() if "train_cases" in told]
        for line in rounds(drill)[:ROUNDS]
    ]
    assert took_part[0] == ["one", "two"]
    expected = sum(
        CASES[site] / sum(CASES[other] for other in sites) * noise(site, number).astype(np.float64)
        for number, sites in enumerate(took_part)
        for site in sites
    )
    final = final_model(drill)
    difference = float(np.abs(final - expected).max())
    note_drill("SIGSTOP a site beyond the cut-off (against the mean of the others)", difference)
    assert difference < 1e-6


def mount_small_disk(folder: Path) -> None:
    """The folder's content on a disk of 12 MB of its own. Skips where that is not allowed."""
    kept = folder.with_name("kept")
    folder.rename(kept)
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        folder.rmdir()
        kept.rename(folder)
        pytest.skip("mounting a small disk is not allowed here")
    shutil.copytree(kept, folder, dirs_exist_ok=True, symlinks=True)


def fill(folder: Path) -> Path:
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            return ballast


@pytest.fixture
def small_disks():
    mounted: list[Path] = []
    yield mounted
    for folder in mounted:
        subprocess.run(["umount", "-l", str(folder)], check=False)


def test_a_full_disk_at_the_aggregator_ends_the_run_with_its_reason_and_it_resumes(
    drill, small_disks, ends_like_an_undisturbed_run
):
    mount_small_disk(drill.aggregator)
    small_disks.append(drill.aggregator)
    with running(start_all(drill)) as parties:
        wait_until(drill, "while round 0 is trained")
        ballast = fill(drill.aggregator)
        assert parties[0].process.wait(HANG_S) not in (0, None)
        for party in parties[1:]:
            party.process.wait(HANG_S)
        ballast.unlink()
        parties[:] = start_all(drill)
        ends_like_an_undisturbed_run(drill, "full disk at the aggregator", parties)


def test_a_full_disk_at_a_site_ends_the_site_and_it_comes_back(
    drill, small_disks, ends_like_an_undisturbed_run
):
    workspace = drill.sites["three"]
    mount_small_disk(workspace)
    small_disks.append(workspace)
    with running(start_all(drill)) as parties:
        wait_until(drill, "while round 0 is trained")
        ballast = fill(workspace)
        assert parties[3].process.wait(HANG_S) not in (0, None)
        ballast.unlink()
        parties[3] = drill.start_site("three")
        ends_like_an_undisturbed_run(drill, "full disk at a site", parties)


def test_a_site_whose_aggregator_never_comes_gives_up_and_says_why(drill):
    drill.change("collaborator.patience_s=3")
    with running([drill.start_site("one")]) as (site,):
        assert site.process.wait(HANG_S) not in (0, None)
    assert "could not be reached for" in drill.log("one")
    assert "start this site again" in drill.log("one").replace("\n", " ")


def test_a_site_revoked_in_the_middle_is_named_and_ends_the_run(drill):
    drill.change("task_runner.seconds=2")
    with running(start_all(drill)) as parties:
        wait_until(drill, "after one update of round 1")
        drill.revoke("three")
        assert parties[3].process.wait(HANG_S) not in (0, None)
        assert parties[0].process.wait(HANG_S) not in (0, None)
    log = " ".join(drill.log("aggregator").split())
    assert "waits for three (its certificate is revoked)" in log
    assert "was revoked at" in " ".join(drill.log("three").split())
    assert "refused" in {line["event"] for line in seen(drill.aggregator)}


@only_plain
def test_a_site_revoked_in_the_middle_is_left_out_where_the_plan_allows_it(drill):
    drill.change("task_runner.seconds=2", straggler_handling_policy=CUTOFF)
    with running(start_all(drill)) as parties:
        wait_until(drill, "when round 1 has just ended")
        drill.revoke("three")
        assert parties[3].process.wait(HANG_S) not in (0, None)
        for party in parties[:3]:
            assert party.process.wait(HANG_S) == 0, party.name
    assert "three" not in rounds(drill)[ROUNDS]["sites"]
