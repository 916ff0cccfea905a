"""What happens between the processes: real `fx`, real certificates, real mutual TLS."""

import json
import shutil

import numpy as np
import pytest
import yaml
from openfl.protocols import utils

from scripts.local.processes import FederationFailed, running
from src.engines.openfl.pipeline import PlainPipeline
from src.model_vector import TENSOR
from tests.federation.conftest import CASES
from tests.federation.drills import mean_of_noise, rounds
from tests.federation.parts import SIZE
from tests.patience import HANG_S, until

pytestmark = [pytest.mark.federation]


def model(path) -> np.ndarray:
    tensors, _ = utils.deconstruct_model_proto(utils.load_proto(path), PlainPipeline())
    return tensors[TENSOR]


def test_the_final_model_is_the_exact_weighted_mean(federation):
    federation.run()
    final = model(federation.aggregator / "save" / "final.pbuf")
    assert final.shape == (SIZE,)
    assert np.abs(final - mean_of_noise(3)).max() < 1e-6
    # not the unweighted mean, and not the model of the round before
    assert np.abs(final - mean_of_noise(2)).max() > 0.1

    log = rounds(federation)
    assert [line["round"] for line in log] == [0, 1, 2, 3]
    assert {s: line["train_cases"] for s, line in log[0]["sites"].items()} == CASES
    assert log[0]["sites"]["two"]["metrics"]["train"] == {"loss": 1.0}
    assert set(log[3]["sites"]["two"]["metrics"]) == {"final_validation"}
    assert all(line["bytes_up"] > 3 * 4 * SIZE for line in log[:3])
    assert log[3]["bytes_up"] < 1000  # metrics only
    assert (federation.aggregator / "logs" / "aggregator_tensorboard").is_dir()

    with pytest.raises(FederationFailed, match=r"has ended. To start anew, move it away"):
        federation.run()


def test_a_finished_model_can_be_evaluated_without_touching_the_run(federation):
    federation.run()
    kept = {
        name: (federation.aggregator / name).read_bytes()
        for name in ("save/final.pbuf", "logs/rounds.jsonl", "local_state/tensor.db")
    }
    for workspace in federation.sites.values():  # as a new bundle would bring it
        shutil.copy2(federation.aggregator / "save" / "final.pbuf", workspace / "save")
    federation.change("aggregator.init_state_path=save/final.pbuf", "assigner.evaluation=true")
    with running([federation.start_aggregator()]) as parties:
        parties += [federation.start_site(name) for name in CASES]
        for party in parties:
            assert party.process.wait(HANG_S) == 0, party.name
    (line,) = (federation.aggregator / "logs" / "evaluation-rounds.jsonl").read_text().splitlines()
    assert set(json.loads(line)["sites"]["two"]["metrics"]) == {"final_validation"}
    for name, content in kept.items():
        assert (federation.aggregator / name).read_bytes() == content, name


def test_another_runs_checkpoint_is_refused(federation):
    federation.run()
    federation.change("aggregator.rounds_to_train=2")
    (federation.aggregator / "local_state" / "run.json").write_text(
        (federation.aggregator / "local_state" / "run.json").read_text().replace("true", "false")
    )
    with pytest.raises(FederationFailed, match=r"is of another run: its bundle is "):
        federation.run()


def test_a_rule_that_raises_ends_the_run_with_its_reason(federation):
    federation.change(
        "tasks.train.aggregation_type.rule={template: parts.RaisingRule, settings: {}}"
    )
    with pytest.raises(FederationFailed, match="a bug in a researcher's rule"):
        federation.run()
    assert "shutdown signal" in federation.log("one")


def test_a_site_that_diverges_is_named(federation):
    federation.change("task_runner.seconds=0")
    plan = federation.plan
    federation.change(task_runner=plan["task_runner"] | {"template": "parts.Diverging"})
    with pytest.raises(FederationFailed, match="site two sent values that are not finite"):
        federation.run()


def test_a_site_that_never_connects_ends_the_run_with_its_name(federation):
    federation.change("aggregator.site_grace_s=30", "collaborator.heartbeat_s=1")
    with running([federation.start_aggregator()]) as parties:
        parties += [federation.start_site("one"), federation.start_site("two")]
        assert parties[0].process.wait(HANG_S) != 0
        assert parties[1].process.wait(HANG_S) == 0
    assert "waits for three (never connected; waited" in federation.log("aggregator")


def test_a_site_that_trains_longer_than_the_grace_time_is_not_given_up(federation):
    federation.change(
        "aggregator.site_grace_s=15",  # a site needs seconds to start on a busy machine
        "collaborator.heartbeat_s=1",
        "task_runner.seconds=20",
        "aggregator.rounds_to_train=1",
    )
    federation.run()
    final = model(federation.aggregator / "save" / "final.pbuf")
    assert np.abs(final - mean_of_noise(1)).max() < 1e-6


def test_a_site_does_not_run_what_the_kit_refuses(federation):
    path = federation.sites["one"] / "plan" / "plan.yaml"
    plan = federation.plan
    plan["network"]["settings"]["use_tls"] = False
    path.write_text(yaml.safe_dump(plan))
    with running([federation.start_site("one")]) as (site,):
        assert site.process.wait(HANG_S) != 0
    assert "network.use_tls is False: updates would travel in the clear" in federation.log("one")


def test_a_killed_aggregator_resumes_and_ends_with_the_same_model(federation):
    federation.change("task_runner.seconds=1")
    with running([federation.start_aggregator()]) as parties:
        parties += [federation.start_site(name) for name in CASES]
        path = federation.aggregator / "logs" / "rounds.jsonl"
        until(lambda: path.is_file() and path.read_text(), "the end of round 0")
        parties[0].process.kill()
        parties[0].process.wait()
        parties.append(federation.start_aggregator())
        for party in parties[1:]:
            assert party.process.wait(HANG_S) == 0, party.name
    final = model(federation.aggregator / "save" / "final.pbuf")
    assert np.abs(final - mean_of_noise(3)).max() < 1e-6
