"""A site with real (synthetic) cases, and its tasks, without any engine."""

from pathlib import Path

import pytest

from src.data.site_cases import SiteCases
from src.plan import plan as plans
from src.rounds.tasks import SegmentationTasks

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def plan(tmp_path):
    """The default plan, small, writing under tmp_path."""
    return small_plan(tmp_path)


@pytest.fixture
def tasks_of(plan, phantom_sites):
    """Builds the tasks of a site by name."""

    def make(site: str = "one", *changes: str) -> SegmentationTasks:
        plans.change(plan, changes)
        cases = SiteCases(str(phantom_sites[site]), **plan["data_loader"]["settings"])
        return SegmentationTasks(data_loader=cases, **plan["task_runner"]["settings"])

    return make


def small_plan(folder: Path) -> dict:
    """The default plan with two steps a round, writing under `folder`."""
    plan = plans.read(ROOT / "plan" / "plan.yaml")
    plans.change(
        plan,
        [
            "task_runner.local.steps=2",
            "task_runner.sampling=seeded",
            "task_runner.precision=fp32",
            f"task_runner.progress={folder}/logs/progress.jsonl",
            f"task_runner.evaluation={folder}/evaluation",
            "data_loader.patches.size=[16,16,16]",
            f"data_loader.cache={folder}/cache",
        ],
    )
    return plan
