"""SCAFFOLD between real processes, encrypted: the final model is that of the kit in one process.

A site's process is killed between training and sending; it goes on with what lies on its disk.
"""

import json
import signal
import stat
from pathlib import Path

import numpy as np
import pytest

from scripts.local.enrol import enrol
from scripts.local.processes import Party, running
from scripts.local.workspace import build_workspace, complete_plan
from src.aggregation.weighted_mean import WeightedMean
from src.data.site_cases import SiteCases
from src.engines.openfl.model_file import read_model
from src.rounds.combine import combine
from src.rounds.tasks import SegmentationTasks
from src.training.memory import Memory
from tests.federation.conftest import own_port
from tests.patience import HANG_S

ROOT = Path(__file__).resolve().parents[2]
ROUNDS = 3
TRAINING = {"one": 4, "two": 2, "three": 3}  # 5, 3 and 4 patients, one of each kept for validation
SCAFFOLD = {"template": "src.training.scaffold.Scaffold", "settings": {}}

pytestmark = [pytest.mark.federation]


@pytest.fixture(scope="module")
def plan() -> dict:
    return complete_plan(
        ROOT / "plan" / "scaffold.yaml",
        rounds=ROUNDS,
        port=own_port(),
        changes=(
            "task_runner.local.steps=3",
            "task_runner.local.learning_rate=0.3",
            "task_runner.local.momentum=0",
            "task_runner.sampling=seeded",
            "task_runner.precision=fp32",
            "data_loader.patches.size=[16,16,16]",
            "compression_pipeline.most_cases=5",
        ),
    )


def in_one_process(plan, phantom_sites, folder: Path, algorithm: dict) -> np.ndarray:
    """The same plan, sites and rounds in the clear, with the weighted mean in float32."""
    tasks = {}
    for name, data in phantom_sites.items():
        loader = plan["data_loader"]["settings"] | {"cache": str(folder / name / "cache")}
        runner = plan["task_runner"]["settings"] | {
            "algorithm": algorithm,
            "progress": str(folder / name / "progress.jsonl"),
        }
        tasks[name] = SegmentationTasks(data_loader=SiteCases(str(data), **loader), **runner)
        tasks[name].remember(Memory())
    model = tasks["one"].vector()
    for number in range(ROUNDS):
        sent = {
            name: (found.train(name, number, model).model, found.training_weight())
            for name, found in tasks.items()
        }
        assert {name: weight for name, (_, weight) in sent.items()} == TRAINING
        model = combine(WeightedMean(), sent, where=f"round {number}")
    return model


@pytest.fixture(scope="module")
def run(tmp_path_factory, plan, phantom_sites) -> Path:
    """The federation, site two killed once; it is started again as `systemd` would."""
    folder = tmp_path_factory.mktemp("scaffold") / "run"
    real = json.loads(json.dumps(plan))
    killed = {"template": "parts.KilledScaffold", "settings": {}}
    real["task_runner"]["settings"]["algorithm"] = killed
    aggregator = folder / "aggregator" / "workspace"
    build_workspace(real, aggregator)
    modules = [ROOT / "tests" / "federation" / "parts.py"]
    sites = enrol(folder, phantom_sites, modules=modules)
    (sites["two"] / "local_state").mkdir(exist_ok=True)
    (sites["two"] / "local_state" / "die").touch()

    def start(name: str) -> Party:
        return Party.start(name, sites[name], "collaborator", "start", "-n", name)

    with running([Party.start("aggregator", aggregator, "aggregator", "start")]) as parties:
        parties += [start(name) for name in sites]
        dying = parties[2]
        assert dying.name == "two"
        assert dying.process.wait(HANG_S) == -signal.SIGKILL
        parties[2] = start("two")
        for party in parties:
            assert party.process.wait(HANG_S) == 0, party.log.read_text()[-2000:]
    return folder


def test_the_final_model_is_that_of_one_process(run, plan, phantom_sites, tmp_path):
    aggregator = run / "aggregator" / "workspace"
    lines = (aggregator / "logs" / "rounds.jsonl").read_text().splitlines()
    assert not any(json.loads(line).get("void") for line in lines)
    final = read_model(aggregator / "save" / "final.pbuf", run / "two" / "workspace")
    expected = in_one_process(plan, phantom_sites, tmp_path, SCAFFOLD)
    # Three sites, caps of 5 + 5 + 5 cases for 9; the rounding of a sum goes into c, and so once
    # more into each site's steps of the next rounds.
    bound = ROUNDS * 3 * 2**-20 * 15 / 9 * 2
    assert np.abs(final - expected).max() < bound
    fedavg = {"template": "src.training.fedavg.FedAvg", "settings": {}}
    plain = in_one_process(plan, phantom_sites, tmp_path / "plain", fedavg)
    assert np.abs(plain - expected).max() > 10 * bound  # what SCAFFOLD does is seen


def test_what_corrects_a_site_is_readable_by_its_user_alone_and_nowhere_else(run):
    for name in TRAINING:
        kept = run / name / "workspace" / "local_state" / "algorithm.npz"
        assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert not list((run / "aggregator").rglob("algorithm.npz"))
