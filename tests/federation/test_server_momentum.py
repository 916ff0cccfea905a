"""FedAvgM at the aggregator of real processes: its momentum outlives a kill of the aggregator."""

import numpy as np
import pytest

from scripts.local.processes import running
from src.aggregation.fedavgm import FedAvgM
from tests.federation.conftest import CASES
from tests.federation.drills import final_model, kill, start_all, wait_until
from tests.federation.parts import SIZE, noise
from tests.patience import HANG_S

pytestmark = [pytest.mark.federation]
SETTINGS = {"momentum": 0.5, "learning_rate": 0.7}


def by_hand(rounds: int) -> np.ndarray:
    """The model when each round's mean update is the sites' mean noise."""
    rule, state, model = FedAvgM(**SETTINGS), {}, np.zeros(SIZE, np.float32)
    total = sum(CASES.values())
    for number in range(rounds):
        update = sum(cases / total * noise(site, number) for site, cases in CASES.items())
        model, state = rule.step(model, model + update, state)
    return model


def test_an_aggregator_that_is_killed_goes_on_with_its_momentum(federation):
    tasks = federation.plan["tasks"]
    rule = {"template": "src.aggregation.fedavgm.FedAvgM", "settings": SETTINGS}
    tasks["train"]["aggregation_type"]["settings"]["rule"] = rule
    federation.change("task_runner.seconds=0.5", tasks=tasks)
    with running(start_all(federation)) as parties:
        wait_until(federation, "when round 1 has just ended")
        kill(parties.pop(0))
        parties.insert(0, federation.start_aggregator())
        for party in parties:
            assert party.process.wait(HANG_S) == 0, federation.log(party.name)[-2000:]
    np.testing.assert_allclose(final_model(federation), by_hand(3), atol=1e-6)
    assert np.abs(by_hand(3) - by_hand(2)).max() > 0.1
    assert (federation.aggregator / "local_state" / "rule.npz").is_file()
