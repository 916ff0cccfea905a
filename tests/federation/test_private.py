"""A real private federation: encrypted, booked, noised as guaranteed, left in time by one site."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from scripts.local.enrol import begin_ledgers, enrol
from scripts.local.pretraining import save
from scripts.local.processes import run_federation
from scripts.local.workspace import build_workspace, complete_plan
from scripts.partition.preparation import make_phantoms, site_folders
from src.differential_privacy.accountant import DpEvent
from src.differential_privacy.ledger import VARIABLE, Ledger
from src.engines.openfl.model_file import read_model
from src.model_vector import Manifest
from src.plan import plan as plans
from src.trainable import trainable_names
from src.trust import audit, members
from src.trust.certificate import utc_now
from src.trust.gate import SiteGate
from tests.federation.conftest import own_port

ROOT = Path(__file__).resolve().parents[2]
ROUNDS, SPENT_BEFORE = 4, 3  # of five that are calibrated for: two are left to site four
STEPS, RATE, LEARNING_RATE, PATIENTS, CLIP = 2, 0.001, 0.5, 1000, 0.4

pytestmark = [pytest.mark.federation]


@pytest.fixture(scope="module")
def private(tmp_path_factory) -> Path:
    """A finished run of four sites; one has spent most of its budget in an earlier run.

    So few patients are sampled that what the sites send is noise, which can be measured.
    """
    folder = tmp_path_factory.mktemp("private")
    make_phantoms(folder / "data", 4, "4,3,4,4", seed=1, size=32, spacing_mm=5.5)
    run = folder / "run"
    local = "task_runner.local"
    plan = complete_plan(
        ROOT / "plan" / "dp.yaml",
        rounds=ROUNDS,
        port=own_port(),
        changes=(
            "data_loader.patches.size=[16,16,16]",
            "task_runner.reported_metrics.public.count=1",
            "task_runner.reported_metrics.public.size=32",
            "task_runner.reported_metrics.public.spacing_mm=5.5",
            f"{local}.steps={STEPS}",
            f"{local}.sample_rate={RATE}",
            f"{local}.learning_rate={LEARNING_RATE}",
            f"{local}.patients={PATIENTS}",
            f"{local}.clip_norm={CLIP}",
            f"{local}.momentum=0.0",
            f"{local}.epsilon=0.5",
        ),
    )
    network = plans.build(plan["task_runner"]["settings"]["model"])
    save(network, folder / "init.pt")
    build_workspace(plan, run / "aggregator/workspace")
    sites = site_folders(folder / "data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, str(run / "ledgers"))
        workspaces = enrol(run, sites, init=folder / "init.pt")
        begin_ledgers(workspaces)
        _spend(run / "ledgers", workspaces["four"], plan, sites["four"])
        port = plan["network"]["settings"]["agg_port"]
        run_federation(run / "aggregator/workspace", workspaces, port, timeout_s=400)
    return run


def _spend(ledgers: Path, workspace: Path, plan: dict, data: Path) -> None:
    """Site four has taken part in another run with the same patients."""
    gate = SiteGate(str(workspace))
    gate.identify("four")
    settings = plan["data_loader"]["settings"] | {"cache": str(workspace / "cache")}
    loader = plan["data_loader"] | {"settings": settings}
    identifiers = plans.build(loader, data_path=str(data)).identifiers("training")
    event = a_round(plan)
    Ledger.open(ledgers, "four", identifiers, gate).book(
        DpEvent(
            noise_multiplier=event.noise_multiplier,
            sample_rate=RATE,
            steps=STEPS * SPENT_BEFORE,
        ),
        unit="patient",
        run="earlier",
        round_number=0,
        delta=1e-4,
        budget=0.5,
        what="training",
    )


def a_round(plan: dict) -> DpEvent:
    return plans.build(plan["task_runner"]["settings"]["local"]).a_round(ROUNDS)


def plan_of(run: Path) -> dict:
    return plans.read(run / "aggregator/workspace" / "plan" / "plan.yaml")


def workspace_of(run: Path, site: str) -> Path:
    return run / site / "workspace"


def booked(run: Path, site: str) -> list[dict]:
    (path,) = (run / "ledgers").glob(f"{site}-*.jsonl")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [line for line in lines if line["event"] == "booked"]


def test_a_site_whose_budget_is_spent_leaves_before_the_round_and_the_others_go_on(private):
    rounds = {name: [b["round"] for b in booked(private, name)] for name in ("one", "four")}
    assert rounds["one"] == [0, 1, 2, 3]
    assert rounds["four"] == [0, 0, 1]  # the earlier run's, then two of this one
    assert booked(private, "four")[-1]["epsilon"] <= 0.5
    log = (workspace_of(private, "four") / "logs" / "four.log").read_text()
    assert "the budget of privacy is spent; this site sends no update" in log
    audited = [
        json.loads(x)
        for x in (private / "aggregator/workspace" / audit.FILE).read_text().splitlines()
    ]
    told = [line for line in audited if line["event"] == "privacy spent"]
    assert {(line["site"], line["then"]) for line in told} == {("four", "leave")}
    assert told[0]["round"] == 1
    assert not [line for line in audited if line["event"] == "void round"]


def test_the_site_that_has_left_still_gets_the_model(private):
    final = private / "aggregator/workspace" / "save" / "final.pbuf"
    models = [read_model(final, workspace_of(private, site)) for site in ("one", "four")]
    np.testing.assert_array_equal(*models)


def noise_fits(run: Path, factor: float) -> bool:
    """Whether the final model is the initial one plus `factor` times the guaranteed noise."""
    plan = plan_of(run)
    final = read_model(
        run / "aggregator/workspace" / "save" / "final.pbuf", workspace_of(run, "one")
    )
    initial = read_model(run / "aggregator/workspace" / "save" / "init.pbuf")
    part = plan["task_runner"]["settings"]
    network = plans.build(part["model"])
    manifest = Manifest.of({k: t.numpy() for k, t in network.state_dict().items()})
    names = trainable_names(network, part["local"]["settings"]["trainable"])
    moved = manifest.unpack((final - initial).astype(np.float64))
    noise = np.concatenate([moved[name].ravel() for name in names])
    still = np.concatenate([moved[name].ravel() for name in manifest.names if name not in names])
    assert np.abs(still).max() < 1e-4  # rounding alone
    a_step = LEARNING_RATE * a_round(plan).noise_multiplier * CLIP / (RATE * PATIENTS)
    contributors = [4, 4, 3, 3]
    variance = sum(STEPS * a_step**2 / sites for sites in contributors)
    low, high = stats.chi2.ppf([5e-7, 1 - 5e-7], noise.size)
    return bool(low < np.square(noise).sum() / (factor**2 * variance) < high)


def test_the_decrypted_model_carries_the_guaranteed_noise(private):
    assert noise_fits(private, 1.0)


@pytest.mark.parametrize("factor", [2 / 3, 3 / 2])
def test_other_noise_than_guaranteed_would_be_noticed(private, factor):
    assert not noise_fits(private, factor)


def test_no_number_of_cases_and_no_private_metric_reaches_the_aggregator(private):
    lines = (private / "aggregator/workspace" / "logs" / "rounds.jsonl").read_text().splitlines()
    for line in map(json.loads, lines):
        assert all("train_cases" not in site for site in line["sites"].values())
        metrics = [site["metrics"] for site in line["sites"].values()]
        assert all("train" not in told for told in metrics)  # no loss
        dices = {json.dumps(told, sort_keys=True) for told in metrics}
        assert len(dices) == 1  # of public cases: the same everywhere


def test_ledgers_and_logs_hold(private):
    listed = members.read(private / "aggregator/workspace", utc_now())
    certificates = [member.certificate for member in listed.members]
    for site in ("one", "two", "three", "four"):
        lines = audit.verify(workspace_of(private, site) / audit.FILE, certificates)
        heads = [line["head"] for line in lines if line["event"] == "privacy booked"]
        assert len(heads) == len(booked(private, site))
