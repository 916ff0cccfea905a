"""An honest site to attack: enrolled with two others, with its bundle approved."""

from pathlib import Path

from scripts.local import fx
from scripts.local.enrol import enrol
from scripts.local.finished_run import workspace_of
from scripts.local.workspace import build_workspace, complete_plan
from scripts.options import ROOT
from scripts.partition.preparation import make_phantoms, site_folders


def approved_site(folder: Path, name: str) -> Path:
    """Its workspace, with synthetic patients, under the plan that does not encrypt."""
    make_phantoms(folder / "data", 2, "4,4", seed=1, size=32, spacing_mm=5.5)
    first, *others = site_folders(folder / "data").values()
    data = {name: first} | {f"other-{number}": path for number, path in enumerate(others)}
    build_workspace(complete_plan(ROOT / "plan" / "plain.yaml"), workspace_of(folder, "aggregator"))
    with fx.forked():
        return enrol(folder, data)[name]
