"""A site with real (synthetic) cases, and a task runner on it."""

from pathlib import Path

import pytest

from src.plan import plan as plans

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def plan(tmp_path):
    """The default plan, small, writing under tmp_path."""
    plan = plans.read(ROOT / "plan" / "plan.yaml")
    plans.change(
        plan,
        [
            "task_runner.local.steps=2",
            "task_runner.sampling=seeded",
            "task_runner.precision=fp32",
            f"task_runner.progress={tmp_path}/logs/progress.jsonl",
            f"task_runner.evaluation={tmp_path}/evaluation",
            "data_loader.patches.size=[16,16,16]",
            f"data_loader.cache={tmp_path}/cache",
        ],
    )
    return plan


@pytest.fixture
def runner_of(plan, phantom_sites):
    """Builds a task runner for a site by name."""

    def make(site: str = "one", *changes: str):
        plans.change(plan, changes)
        data = plans.build(plan["data_loader"], data_path=str(phantom_sites[site]))
        return plans.build(plan["task_runner"], data_loader=data)

    return make
