"""Baselines of a run: who trains on what, with as many steps, from the same weights."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from openfl.protocols import utils
from torch import nn

from scripts.baseline.alone import alone
from scripts.baseline.ensemble import ensemble
from scripts.baseline.pooled import pooled
from scripts.baseline.study import FOLDER, Ensemble, Study
from scripts.local import finished_run
from scripts.local.workspace import complete_plan
from src.engines.openfl.pipeline import PlainPipeline
from src.errors import InputError
from src.model.unet import GliomaUNet
from src.model_vector import TENSOR, Manifest
from tests.ceremonies import ROOT

SMALL = (
    "task_runner.local.steps=2",
    "data_loader.patches.size=[16,16,16]",
    "task_runner.precision=fp32",
)


def begun_with(seed: int) -> np.ndarray:
    torch.manual_seed(seed)
    state = {name: tensor.numpy() for name, tensor in GliomaUNet().state_dict().items()}
    return Manifest.of(state).pack(state)


def a_run(folder: Path, sites: dict[str, Path], plan: str = "plain.yaml") -> Path:
    """What `simulate` leaves: the plan, the first model, and each site's link to its data."""
    path = finished_run.plan_of(folder)
    path.parent.mkdir(parents=True)
    changes = SMALL if plan == "plain.yaml" else ()
    complete = complete_plan(ROOT / "plan" / plan, rounds=2, changes=changes)
    path.write_text(json.dumps(complete))  # JSON is YAML
    first = finished_run.initial_model(folder)
    first.parent.mkdir(parents=True)
    proto = utils.construct_model_proto({TENSOR: begun_with(3)}, 0, PlainPipeline())
    utils.dump_proto(proto, str(first))
    for site, data in sites.items():
        link = finished_run.workspace_of(folder, site) / "data" / site
        link.parent.mkdir(parents=True)
        link.symlink_to(data)
    about = {"plan": plan, "synthetic": True, "seed": 0, "versions": {}, "rounds_planned": 2}
    about |= {"name": "mine", "plan_sha256": "ab" * 32, "encryption": None, "kind": "phantom"}
    about |= {"command": "simulate", "machine": "here", "started": "2026-01-02T03:04:05+00:00"}
    (folder / "run.json").write_text(json.dumps(about))
    log = finished_run.workspace_of(folder, "aggregator") / "logs" / "rounds.jsonl"
    log.parent.mkdir()
    log.touch()
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory, phantom_sites):
    return a_run(tmp_path_factory.mktemp("runs") / "mine", dict(phantom_sites))


def kept(run: Path, name: str) -> np.ndarray:
    return np.load(run / FOLDER / f"{name}.npy")


def test_all_baselines_begin_with_the_runs_own_weights(run):
    network = Study(run).network()
    state = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    assert np.array_equal(Manifest.of(state).pack(state), begun_with(3))


def test_each_site_trains_its_own_model_and_all_are_scored_everywhere(run):
    result = CliRunner().invoke(alone, ["--run", str(run)], catch_exceptions=False)
    assert "model of" in result.output
    found = json.loads((run / "report" / "baselines.json").read_text())
    names = set(finished_run.data_folders(run))
    assert set(found["alone"]) == set(found["alone_everywhere"]) == names
    for site in names:
        assert found["alone"][site] == found["alone_everywhere"][site][site]
        assert not np.array_equal(kept(run, f"alone-{site}"), begun_with(3))
    first, second = sorted(names)[:2]
    assert not np.array_equal(kept(run, f"alone-{first}"), kept(run, f"alone-{second}"))


def test_what_is_trained_is_kept_and_not_trained_again(run):
    CliRunner().invoke(alone, ["--run", str(run)], catch_exceptions=False)
    times = {path: path.stat().st_mtime_ns for path in (run / FOLDER).glob("*.npy")}
    CliRunner().invoke(ensemble, ["--run", str(run)], catch_exceptions=False)
    assert {path: path.stat().st_mtime_ns for path in (run / FOLDER).glob("alone*.npy")} == {
        path: time for path, time in times.items() if path.name.startswith("alone")
    }


def test_pooled_takes_all_training_cases_and_the_sites_steps_together(run, monkeypatch):
    seen = []
    from src.data.site_cases import SiteCases

    whole = SiteCases.training_batches

    def counted(self, steps, batch_size, rng):
        seen.append((steps, sorted(case.case_id for case in self.train_files)))
        return whole(self, steps, batch_size, rng)

    monkeypatch.setattr(SiteCases, "training_batches", counted)
    CliRunner().invoke(pooled, ["--run", str(run)], catch_exceptions=False)
    study = Study(run)
    cases = sorted(c.case_id for own in study.sites.values() for c in own.train_files)
    assert seen == [(2 * len(study.sites), cases)] * 2
    held = {c.case_id for own in study.sites.values() for c in own.validation_files}
    assert not held & set(cases)
    assert "pooled" in json.loads((run / "report" / "baselines.json").read_text())


def test_the_ensemble_says_the_mean_probability():
    class Says(nn.Module):
        multiple = 16

        def __init__(self, probability: float) -> None:
            super().__init__()
            self.logit = nn.Parameter(torch.logit(torch.tensor(probability)))

        def forward(self, images):
            return self.logit.expand(1, 3, *images.shape[2:])

    said = torch.sigmoid(Ensemble([Says(0.9), Says(0.3)])(torch.zeros(1, 4, 2, 2, 2)))
    assert torch.allclose(said, torch.tensor(0.6))


def test_a_private_run_has_no_baseline_that_trains_alike(tmp_path, phantom_sites):
    private = a_run(tmp_path / "private", dict(phantom_sites), "dp.yaml")
    with pytest.raises(InputError, match=r"PatientDPSGD.*Simulate that plan"):
        Study(private)
