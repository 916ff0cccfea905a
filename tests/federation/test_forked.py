"""Forked parties are the same parties: the model that they end with is that of typed ones."""

import pytest

from scripts.local import fx
from scripts.local.enrol import enrol
from scripts.local.workspace import build_workspace, complete_plan
from src.engines.openfl.model_file import read_model
from tests.federation.conftest import ROOT, copy_of

pytestmark = [pytest.mark.federation]


@pytest.fixture(scope="module")
def ready(forked, tmp_path_factory, phantom_sites):
    """Three sites that train the real network in the clear, enrolled."""
    folder = tmp_path_factory.mktemp("ready")
    plan = complete_plan(
        ROOT / "plan" / "plain.yaml",
        rounds=2,
        changes=("task_runner.local.steps=2", "data_loader.patches.size=[16,16,16]"),
    )
    build_workspace(plan, folder / "aggregator/workspace")
    enrol(folder, phantom_sites)
    (folder / "data").mkdir()
    for name in phantom_sites:
        (folder / "data" / name).mkdir()
    return folder


def test_forked_and_typed_parties_end_in_the_same_model(ready, fork_server, tmp_path):
    finals = {}
    for how, server in (("forked", fork_server), ("typed", None)):
        federation = copy_of(ready, tmp_path / how)
        with fx.forked_by(server):
            federation.run(timeout_s=180)
        finals[how] = read_model(federation.aggregator / "save" / "final.pbuf")
    assert (finals["forked"] == finals["typed"]).all()
    assert (
        abs(
            finals["forked"] - read_model(ready / "aggregator/workspace" / "save" / "init.pbuf")
        ).max()
        > 0
    )
