"""Privacy per site between real processes: the final model carries the noise, ledgers hold it."""

import json

import numpy as np
import pytest

from scripts.local.enrol import begin_ledgers
from src.differential_privacy import accountant
from src.differential_privacy.distributed_noise import FAILURE
from src.differential_privacy.ledger import BOOKED
from src.differential_privacy.ledger_file import event_of, ledger_files
from src.differential_privacy.signed_lines import KIND, signed_digest
from src.engines.openfl.model_file import read_model
from src.model_vector import norm
from src.plan import plan as plans
from src.plan.view import Plan
from src.rounds.preparation import shared_noise
from src.trust import audit, members, signed_statement
from src.trust.certificate import utc_now
from tests.federation.conftest import CASES, Federation
from tests.federation.drills import rounds
from tests.federation.parts import SIZE, noise
from tests.oracles import variance_fits

pytestmark = [pytest.mark.federation]
ROUNDS, CLIP, EPSILON, DELTA = 2, 0.5, 8.0, 1e-3


@pytest.fixture
def noised(sealed, tmp_path, monkeypatch) -> Federation:
    """Three sites whose updates are clipped and noised; each with a ledger folder in one place."""
    monkeypatch.setenv("GLIOMA_LEDGER", str(tmp_path / "ledger"))
    settings = {"epsilon": EPSILON, "delta": DELTA, "clip_norm": CLIP}
    part = {"template": "src.differential_privacy.site_level.SiteDP", "settings": settings}
    sealed.change(
        "compression_pipeline.most_cases=1",
        f"compression_pipeline.noise={json.dumps(part)}",
        f"aggregator.rounds_to_train={ROUNDS}",
    )
    begin_ledgers(sealed.sites)
    return sealed


def clipped_mean(rounds: int) -> np.ndarray:
    """What the sites have learnt, without noise; every site weighs the same."""
    updates = [noise(site, r).astype(np.float64) for r in range(rounds) for site in CASES]
    assert all(norm(update) > CLIP for update in updates)
    return sum(update * CLIP / norm(update) for update in updates) / len(CASES)


def test_the_final_model_carries_the_promised_noise_and_the_ledgers_hold_every_round(noised):
    noised.run()
    models = [
        read_model(noised.aggregator / "save" / "final.pbuf", workspace)
        for workspace in noised.sites.values()
    ]
    assert all((model == models[0]).all() for model in models)
    assert [line["round"] for line in rounds(noised)] == [0, 1, 2]

    pipeline = plans.build(noised.plan["compression_pipeline"])
    shared, _ = shared_noise(
        pipeline.noise, pipeline.encryption, Plan(noised.plan), 3, lambda: SIZE
    )
    # calibrated for two honest sites, drawn by three
    a_round = shared.noise_multiplier * CLIP / 3 * (3 / 2) ** 0.5
    found = models[0] - clipped_mean(ROUNDS)
    assert variance_fits(found, a_round * ROUNDS**0.5)
    for wrong in (2 / 3, 3 / 2):
        assert not variance_fits(found, a_round * ROUNDS**0.5 * wrong)

    ledgers = ledger_files(noised.folder / "ledger")
    assert [ledger_file.site for ledger_file in ledgers] == sorted(CASES)
    listed = members.read(noised.aggregator, utc_now())
    for ledger_file in ledgers:
        assert [(line["unit"], line["round"]) for line in ledger_file.bookings] == [
            ("site", number) for number in range(ROUNDS)
        ]
        spent = accountant.epsilon(map(event_of, ledger_file.bookings), DELTA - FAILURE)
        assert ledger_file.bookings[-1]["epsilon"] == pytest.approx(spent)
        assert spent < EPSILON  # void rounds would have had their part
        certificate = listed.site(ledger_file.site).certificate
        for line in ledger_file.lines:  # each signed by the site
            signed = json.dumps(line["envelope"]).encode()
            statement = signed_statement.verify(KIND, signed, certificate, name=ledger_file.site)
            assert statement == {"line": signed_digest(line)}
        log = noised.sites[ledger_file.site] / "logs" / "audit.jsonl"
        events = audit.verify(log, noised.certificates())
        assert [e["round"] for e in events if e["event"] == BOOKED] == list(range(ROUNDS))
