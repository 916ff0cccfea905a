"""Each algorithm through a whole encrypted federation: the model is that of a run in the clear.

Real keys, signatures and ciphertexts, with a void round, a site that is left out and comes back;
and each site's algorithm begins anew in each round, with what lies in its file.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from scripts.benchmark.toy import train, unlike_sites
from scripts.local.one_process import Federation
from src.rounds.site import EncryptedSiteRounds
from src.training.fednova import FedNova
from src.training.fedprox import FedProx
from src.training.local import LocalTraining
from src.training.local_norms import LocalNorms
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


@contextmanager
def encrypted(folder: Path, initial: np.ndarray) -> Iterator[Federation]:
    """The toy's four sites and their aggregator, begun."""
    cases = {name: site.cases for name, site in SITES.items()}
    federation = Federation(folder, cases, initial, [initial.size], most_cases=10)
    try:
        for site in federation.sites.values():
            site.start()
        federation.gather()
        yield federation
    finally:
        federation.close()


def play_encrypted(folder: Path, algorithm, local: LocalTraining) -> tuple[list, np.ndarray]:
    """(why each round came to nothing, the final model)."""
    with encrypted(folder, np.zeros(100, np.float32)) as federation:
        voids = []
        for roster, missing in ROUNDS:
            models = {}
            for name in (name for name in ALL if name != missing):
                models[name] = opened = federation.open(name)
                if name in roster:
                    working = algorithm()
                    working.remember(memory(federation, name))
                    model = opened.astype(np.float64)
                    models[name] = train(SITES[name], working, local, model, federation.round)
            voids.append(federation.play(models, (missing,) if missing else ()))
        return voids, federation.open(ALL[0])


def memory(federation: Federation, name: str) -> Memory:
    """A site's, as its process finds it that has just started."""
    history = EncryptedSiteRounds(None, federation.sites[name]).history  # type: ignore[arg-type]
    return Memory(federation.folder / name / "algorithm.npz", "run", history)


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


def vector(model: nn.Module) -> np.ndarray:
    return nn.utils.parameters_to_vector(model.parameters()).detach().numpy()


def test_norms_of_each_sites_own_last_and_what_is_shared_of_them_stays(tmp_path):
    """Each site moves all parameters by a number of its own; the second of three rounds is void."""
    torch.manual_seed(0)
    begun = nn.Sequential(nn.Conv3d(1, 4, 1), nn.GroupNorm(2, 4))
    moves = {name: 0.1 * (number + 1) for number, name in enumerate(ALL)}
    own = {}
    with encrypted(tmp_path, vector(begun)) as federation:
        for number, missing in enumerate(("", LAST, "")):
            sent = {}
            for name in (name for name in (ALL if number < 2 else FEW) if name != missing):
                algorithm, model = (
                    LocalNorms(),
                    nn.Sequential(nn.Conv3d(1, 4, 1), nn.GroupNorm(2, 4)),
                )
                opened = torch.from_numpy(federation.open(name).copy())
                nn.utils.vector_to_parameters(opened, model.parameters())
                algorithm.remember(memory(federation, name))
                algorithm.localise(model, number)
                with torch.no_grad():
                    for parameter in model.parameters():
                        parameter.add_(moves[name])
                own[name] = model[1].weight[0].item()
                algorithm.end_round(model, 1, 0.1)
                sent[name] = vector(model)
            if number == 2:
                sent[LAST] = federation.open(LAST)  # it listens
            assert bool(federation.play(sent, (missing,) if missing else ())) == (number == 1)
        final = federation.open(ALL[0])
    moved = final - vector(begun)
    norms, shared = moved[-8:], moved[:-8]
    assert np.abs(norms).max() < BOUND
    of_round = [
        sum(SITES[name].cases * moves[name] for name in names)
        / sum(SITES[name].cases for name in names)
        for names in (ALL, FEW)
    ]
    np.testing.assert_allclose(shared, sum(of_round), atol=BOUND)
    for name in FEW:  # trained in three rounds, of which one was void
        assert own[name] == pytest.approx(1 + 2 * moves[name], abs=1e-6)
