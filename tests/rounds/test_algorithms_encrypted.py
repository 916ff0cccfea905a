"""Each algorithm through a whole encrypted federation: the model is that of a run in the clear.

Real keys, signatures and ciphertexts, with a void round, a site that is left out and comes back;
and each site's algorithm begins anew in each round, with what lies in its file.
"""

from pathlib import Path

import numpy as np
import pytest

from scripts.benchmark.toy import train, unlike_sites
from scripts.local.one_process import Federation
from src.rounds.site import EncryptedSiteRounds
from src.training.fednova import FedNova
from src.training.fedprox import FedProx
from src.training.local import LocalTraining
from src.training.memory import Memory
from src.training.scaffold import Scaffold
from src.training.shared_momentum import SharedMomentum
from tests.training.rounds import Rounds

SITES = {site.name: site for site in unlike_sites()}
ALL, LAST = tuple(SITES), "site-3"
FEW = ALL[:3]
SAME_STEPS = LocalTraining(steps=10, learning_rate=0.05, weight_decay=0.0)
EPOCHS = LocalTraining(epochs=2, learning_rate=0.05, weight_decay=0.0)
ALGORITHMS = {
    "fedprox": (lambda: FedProx(mu=0.5), SAME_STEPS),
    "scaffold": (Scaffold, SAME_STEPS),
    "shared momentum": (lambda: SharedMomentum(momentum=0.8, learning_rate=0.3), SAME_STEPS),
    "fednova": (lambda: FedNova(steps=5), EPOCHS),
}
# (roster, who sends nothing): void, then without the last site, then with it again
ROUNDS = [(ALL, ""), (ALL, ""), (ALL, LAST), (FEW, ""), (ALL, ""), (ALL, "")]
BOUND = 2e-5  # fixed point rounds each of six sums; values are below 4, steps below 2e-6


def play_encrypted(folder: Path, algorithm, local: LocalTraining) -> tuple[list, np.ndarray]:
    """(why each round came to nothing, the final model)."""
    cases = {name: site.cases for name, site in SITES.items()}
    federation = Federation(folder, cases, np.zeros(100, np.float32), [100], most_cases=10)
    try:
        for site in federation.sites.values():
            site.start()
        federation.gather()
        voids = []
        for roster, missing in ROUNDS:
            present = [name for name in ALL if name != missing]
            models = {}
            for name in present:
                opened = federation.open(name)
                models[name] = opened
                if name in roster:
                    history = EncryptedSiteRounds(None, federation.sites[name]).history
                    working = algorithm()
                    working.remember(Memory(folder / name / "algorithm.npz", "run", history))
                    model = opened.astype(np.float64)
                    models[name] = train(SITES[name], working, local, model, federation.round)
            voids.append(federation.play(models, (missing,) if missing else ()))
        return voids, federation.open(ALL[0])
    finally:
        federation.close()


@pytest.mark.parametrize("name", ALGORITHMS)
def test_an_encrypted_run_with_a_void_round_gives_the_model_of_a_run_in_the_clear(tmp_path, name):
    algorithm, local = ALGORITHMS[name]
    clear = Rounds(list(SITES.values()), algorithm, tmp_path / "clear", local)
    for roster, missing in ROUNDS:
        clear.play(*roster, missing=missing)
    voids, model = play_encrypted(tmp_path / "encrypted", algorithm, local)
    assert voids == [None, None, f"no update from {LAST}", None, None, None]
    assert np.abs(clear.model).max() > 0.1
    assert np.abs(model - clear.model).max() < BOUND
