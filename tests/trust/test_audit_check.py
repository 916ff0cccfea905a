"""`audit verify` shows masks that were used twice: by the aggregator's alarm, or a site's seals."""

import shutil
from pathlib import Path

import pytest

from src.errors import MaskReused
from src.trust import audit
from src.trust.audit import AuditLog
from src.trust.audit_check import check, reused
from src.trust.certificate import utc_now
from tests import ceremonies


@pytest.fixture(scope="module")
def held(tmp_path_factory) -> Path:
    """A ceremony held now, since `check` looks at the real clock."""
    folder = tmp_path_factory.mktemp("now")
    ceremonies.hold(folder, ceremonies.Clock(utc_now()))
    return folder


@pytest.fixture
def workspace(held, tmp_path) -> Path:
    return shutil.copytree(held / "one", tmp_path / "one", ignore=shutil.ignore_patterns("logs"))


@pytest.fixture
def log(workspace) -> AuditLog:
    log = AuditLog(workspace / audit.FILE, "one", utc_now)
    log.write("started", bundle="b", run="r")
    for number in range(3):
        log.write("sealed", site="one", round=number, cut_off=0)
    return log


def test_a_log_of_rounds_that_were_sealed_once_is_good(log, workspace):
    (said,) = check(log.path, None, workspace)
    assert "the chain holds" in said


def test_another_run_may_seal_rounds_of_the_same_numbers(log, workspace):
    log.write("started", bundle="b", run="another")
    log.write("sealed", site="one", round=0, cut_off=0)
    assert check(log.path, None, workspace)


def test_a_round_that_was_sealed_twice_is_shown(log, workspace):
    log.write("started", bundle="b", run="r")  # a restart: the same run goes on
    log.write("sealed", site="one", round=1, cut_off=0)
    with pytest.raises(MaskReused, match=r"line 5: one has encrypted a second update for round 1"):
        check(log.path, None, workspace)


def test_the_aggregators_alarm_is_shown_beside_what_holds(log, workspace):
    log.write("mask reused", site="two", round=4, reason="two different updates")
    with pytest.raises(MaskReused) as shown:
        check(log.path, None, workspace)
    assert "the chain holds" in str(shown.value)
    assert "line 4: two, round 4: two different updates" in str(shown.value)


def test_a_third_seal_is_not_told_twice():
    lines = [{"n": n, "event": "sealed", "site": "one", "round": 0} for n in range(3)]
    assert len(reused(lines)) == 1
