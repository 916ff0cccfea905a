"""A site with real (synthetic) cases, and a task runner on it."""

from pathlib import Path

import pytest

from src.plan import plan as plans
from tests.rounds.conftest import small_plan

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def plan(tmp_path):
    """The default plan, small, writing under tmp_path."""
    return small_plan(tmp_path)


@pytest.fixture
def runner_of(plan, phantom_sites):
    """Builds a task runner for a site by name."""

    def make(site: str = "one", *changes: str):
        plans.change(plan, changes)
        data = plans.build(plan["data_loader"], data_path=str(phantom_sites[site]))
        return plans.build(plan["task_runner"], data_loader=data)

    return make
