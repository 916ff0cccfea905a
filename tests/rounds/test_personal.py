"""The personal model: made and scored at the site, and of it nothing in what leaves."""

import json
import stat

import numpy as np
import pytest
import torch

from src.errors import PlanError
from src.plan import plan as plans
from src.plan import rules
from src.rounds.personal import FOLDER, MODEL, SCORES
from src.training.memory import Memory
from tests.rounds.conftest import ROOT

PERSONAL = (
    "task_runner.personal={template: src.training.local.LocalTraining, "
    "settings: {steps: 2, learning_rate: 0.1, trainable: [GroupNorm, head]}}"
)
LOCAL_NORMS = "task_runner.algorithm={template: src.training.local_norms.LocalNorms, settings: {}}"


def state(path) -> dict:
    return torch.load(path, weights_only=True)["model_state_dict"]


def test_both_models_are_kept_and_scored_and_only_norms_and_head_differ(tasks_of, tmp_path):
    tasks = tasks_of("one", PERSONAL)
    tasks.score("evaluate", 3, tasks.vector())
    folder = tmp_path / "evaluation" / FOLDER
    shared, personal = state(tmp_path / "evaluation" / MODEL), state(folder / MODEL)
    moved = {name for name in shared if not torch.equal(shared[name], personal[name])}
    assert "head.weight" in moved
    assert not any(".0.weight" in name and shared[name].ndim > 1 for name in moved)
    compared = json.loads((folder / SCORES).read_text(encoding="utf-8"))
    assert set(compared) == {"shared", "personal"}
    assert compared["shared"]["cases"] == compared["personal"]["cases"] > 0
    assert (folder / "cases.json").is_file()


def test_nothing_of_it_leaves(tasks_of):
    """The answer of a plan that tunes is the answer of one that does not."""
    plain = tasks_of("one")
    start = plain.vector()
    expected = plain.score("evaluate", 3, start)
    tuned = tasks_of("one", PERSONAL).score("evaluate", 3, start)
    assert tuned.metrics == pytest.approx(expected.metrics, nan_ok=True)
    assert tuned.model is None


def test_only_the_final_model_is_tuned(tasks_of, tmp_path):
    tasks = tasks_of("one", PERSONAL)
    tasks.score("validate", 1, tasks.vector())
    assert not (tmp_path / "evaluation").exists()


def test_both_models_are_readable_by_the_sites_user_alone(tasks_of, tmp_path):
    tasks = tasks_of("one", PERSONAL)
    tasks.score("evaluate", 3, tasks.vector())
    for path in (tmp_path / "evaluation").rglob(MODEL):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "evaluation").stat().st_mode) == 0o700


def test_a_site_with_norms_of_its_own_scores_and_keeps_its_own_model(tasks_of, tmp_path):
    tasks = tasks_of("one", LOCAL_NORMS)
    tasks.remember(Memory(tmp_path / "algorithm.npz"))
    start = tasks.vector()
    sent = tasks.train("one", 0, start).model
    at = {name: slice_of(tasks, name) for name in tasks.manifest.names}
    norms = [name for name in at if name in own_names(tasks)]
    assert norms
    assert all((sent[at[name]] == start[at[name]]).all() for name in norms)
    assert (sent != start).any()
    tasks.score("evaluate", 1, sent)
    own = state(tmp_path / "evaluation" / MODEL)
    assert any((own[name].numpy().ravel() != sent[at[name]]).any() for name in norms)
    others = set(at) - set(norms)
    assert all((own[name].numpy().ravel() == sent[at[name]]).all() for name in others)


def own_names(tasks) -> set[str]:
    return {
        f"{place}.{word}"
        for place, module in tasks.model.named_modules()
        if isinstance(module, torch.nn.GroupNorm)
        for word in ("weight", "bias")
    }


def slice_of(tasks, name: str) -> slice:
    sizes = [int(np.prod(shape)) for shape in tasks.manifest.shapes]
    place = tasks.manifest.names.index(name)
    return slice(sum(sizes[:place]), sum(sizes[: place + 1]))


@pytest.mark.parametrize("change", [PERSONAL, LOCAL_NORMS])
@pytest.mark.parametrize("name", ["dp.yaml", "dp_site.yaml"])
def test_what_learns_without_noise_is_refused_beside_privacy(name, change):
    plan = plans.read(ROOT / "plan" / name)
    plans.change(plan, [change])
    with pytest.raises(PlanError, match="does not declare per_patient=True"):
        rules.check(plan)


def test_what_spends_privacy_is_no_personal_training():
    plan = plans.read(ROOT / "plan" / "personal.yaml")
    private = plans.read(ROOT / "plan" / "dp.yaml")["task_runner"]["settings"]["local"]
    plan["task_runner"]["settings"]["personal"] = private
    with pytest.raises(
        PlanError, match=r"does not inherit from src\.training\.local\.LocalTraining"
    ):
        rules.check(plan)
