"""FedAvgM by the sites: the same models as by the aggregator, also when sites drop out."""

import numpy as np
import pytest

from scripts.benchmark.toy import unlike_sites
from src.aggregation.fedavgm import FedAvgM
from src.errors import Damaged
from src.training.fedavg import FedAvg
from src.training.shared_momentum import SharedMomentum
from tests.training.rounds import Rounds

SITES = unlike_sites()
ALL = tuple(site.name for site in SITES)


def shared() -> SharedMomentum:
    return SharedMomentum(momentum=0.8, learning_rate=0.3)


def test_it_is_fedavgm_at_the_aggregator(tmp_path):
    at_sites = Rounds(SITES, shared, tmp_path)
    plain = Rounds(SITES, FedAvg, tmp_path / "plain")
    rule, state = FedAvgM(momentum=0.8, learning_rate=0.3), {}
    for _ in range(6):
        at_sites.play()
        before = plain.model
        plain.play()
        plain.model, state = rule.step(before, plain.model, state)
        plain.model = plain.model.astype(np.float64)
    np.testing.assert_allclose(at_sites.model, plain.model, atol=1e-6)


def test_a_void_round_leaves_the_momentum(tmp_path):
    federation = Rounds(SITES, shared, tmp_path)
    for missing in ("", "", ALL[3], ALL[3], ""):
        federation.play(missing=missing)
    undisturbed = Rounds(SITES, shared, tmp_path / "again")
    for _ in range(3):
        undisturbed.play()
    np.testing.assert_allclose(federation.model, undisturbed.model, atol=1e-12)


def test_when_the_roster_changes_all_begin_again_without_momentum(tmp_path):
    federation = Rounds(SITES, shared, tmp_path)
    for roster in (ALL, ALL, ALL[:3]):
        federation.play(*roster)
    assert not any(federation.working[name].moved.any() for name in ALL[:3])
    federation.play()
    assert not any(federation.working[name].moved.any() for name in ALL)
    federation.play()
    assert all(federation.working[name].moved.any() for name in ALL)


def test_a_site_that_lost_the_model_before_refuses(tmp_path):
    federation = Rounds(SITES, shared, tmp_path)
    federation.play()
    (tmp_path / ALL[0] / "algorithm.npz").unlink()
    federation.open()
    with pytest.raises(Damaged, match="the model before is not in"):
        federation.train(ALL[0])
