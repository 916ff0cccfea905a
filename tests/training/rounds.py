"""Rounds of a federation whose sites may drop out and come back, around local training alone."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from scripts.benchmark.toy import ToySite, train
from src.training.fedavg import FedAvg
from src.training.local import LocalTraining
from src.training.memory import History, Memory

SETTINGS = {"steps": 5, "learning_rate": 0.05, "weight_decay": 0.0, "clip_norm": 1e9}


class Rounds:
    """The toy's sites, their memories in files, and the mean in float64.

    algorithm: made anew in each round, as by a process that was killed after the last.
    """

    def __init__(
        self,
        sites: Sequence[ToySite],
        algorithm: Callable[[], FedAvg],
        folder: Path,
        local: LocalTraining | None = None,
    ) -> None:
        self.sites = {site.name: site for site in sites}
        self.model = np.zeros(100)
        self.local = local or LocalTraining(**SETTINGS)
        self.number = 0
        self.rosters: dict[int, tuple[str, ...]] = {}
        self.summed: int | None = None
        self._make = algorithm
        self._folder = folder
        self.working: dict[str, FedAvg] = {}

    def history(self, number: int) -> History:
        first = 0 if self.summed is None else self.summed
        return History(self.summed, {n: self.rosters[n] for n in range(first, number + 1)})

    def memory(self, name: str) -> Memory:
        return Memory(self._folder / name / "algorithm.npz", "run", self.history)

    def share(self, name: str) -> float:
        """The site's weight in the open round's mean."""
        roster = self.rosters[self.number]
        return self.sites[name].cases / sum(self.sites[other].cases for other in roster)

    def train(self, name: str) -> np.ndarray:
        """What one site sends in the open round."""
        self.working[name] = self._make()
        self.working[name].remember(self.memory(name))
        site = self.sites[name]
        return train(site, self.working[name], self.local, self.model, self.number)

    def open(self, *roster: str) -> None:
        """A round begins, with all sites or with these."""
        self.rosters[self.number] = roster or tuple(self.sites)

    def play(self, *roster: str, missing: str = "") -> None:
        """A whole round; it is void if a site of its roster is missing."""
        self.open(*roster)
        present = [name for name in self.rosters[self.number] if name != missing]
        trained = {name: self.train(name) for name in present}
        if not missing:
            self.model = sum(self.share(name) * model for name, model in trained.items())
            self.summed = self.number
        self.number += 1
