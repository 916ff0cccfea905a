"""Hostile bundles: looking at one runs nothing, starting one runs nothing, and each was alive."""

import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from scripts.attack.bundle_attacks import LOOKS, left_mark, planted, proves, shows
from scripts.attack.hostile_bundles import HOSTILE, MARKUP, Bundle
from src.errors import KitError
from src.trust import handover
from src.trust.certificate import utc_now
from src.verbs.doctor import doctor
from src.verbs.show import show
from tests import ceremonies

BY_NAME = {bundle.name: bundle for bundle in HOSTILE}


@pytest.fixture(scope="module")
def honest(tmp_path_factory) -> Path:
    """A site's workspace after a ceremony held now, approved."""
    folder = tmp_path_factory.mktemp("honest")
    ceremonies.hold(folder, ceremonies.Clock(utc_now()))
    (folder / "one" / "data" / "one").mkdir()
    return folder / "one"


@pytest.fixture
def looked_at(honest, tmp_path):
    """looked_at(bundle): its workspace, and what `show` and `doctor` have printed about it."""

    def look(bundle: Bundle) -> tuple[Path, str]:
        workspace = planted(bundle, honest, tmp_path / "bundle")
        where = ["--workspace", str(workspace)]
        run = CliRunner(env={"COLUMNS": "400"}).invoke
        shown = [run(show, where), run(doctor, ["-n", "one", "--offline", *where])]
        errors = [str(each.exception) for each in shown if isinstance(each.exception, KitError)]
        return workspace, "\n".join([*(each.output for each in shown), *errors])

    return look


def test_there_are_more_than_twenty():
    assert len(HOSTILE) > 20
    assert set(LOOKS) == {"show", "doctor", "start"}


@pytest.mark.parametrize("bundle", HOSTILE, ids=BY_NAME)
def test_looking_and_verifying_run_nothing_and_show_nothing_raw(looked_at, bundle):
    workspace, screen = looked_at(bundle)
    assert not left_mark(workspace)
    assert not shows(bundle, screen), screen
    if bundle.removed:
        _, removed = handover.verify(workspace, "one")
        assert removed == 1
        assert not proves(bundle, workspace)  # what would have run is gone
    else:
        with pytest.raises(KitError):
            handover.verify(workspace, "one")
    assert not left_mark(workspace)


@pytest.mark.parametrize(
    "bundle", [bundle for bundle in HOSTILE if bundle.prove], ids=lambda bundle: bundle.name
)
def test_each_payload_runs_where_nothing_stops_it(honest, tmp_path, bundle):
    assert proves(bundle, planted(bundle, honest, tmp_path / "bundle"))


def test_a_screen_that_obeyed_would_be_found_out():
    escape = BY_NAME["escape sequences in the plan"]
    markup = BY_NAME["markup of the screen in the plan"]
    assert shows(escape, f"aggregator {escape.hidden}:50051")
    assert shows(markup, "aggregator marked:50051")
    assert not shows(markup, f"aggregator {MARKUP}:50051")


def test_the_honest_site_is_let_on(honest):
    party, removed = handover.verify(honest, "one")
    assert (party.bundle.digest, removed) == (party.bundle.digest, 0)
    assert "PYTHONPATH" not in handover.environment(os.environ | {"PYTHONPATH": "/evil"})
