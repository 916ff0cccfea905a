"""A toy federation whose optimum is known: softmax regression at four unlike sites, in one process.

Everything is exact (each step sees all of a site's cases) and convex, so that what is left is
drift: how far the shared model settles from the best model of all cases together. The sites train
by the kit's own `LocalTraining` and algorithms, and the kit's own rules make the next model.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from src.aggregation.weighted_mean import WeightedMean
from src.plan.parts import Algorithm
from src.rounds.combine import next_model
from src.training.compute import Compute
from src.training.local import LocalTraining
from src.training.memory import Memory

FEATURES, CLASSES, SAMPLES = 20, 5, 200
CASES = (10, 6, 2, 2)  # of the sites, by which they are weighed
LOSS = nn.CrossEntropyLoss()
CPU = Compute("cpu", "fp32")


@dataclass(frozen=True)
class ToySite:
    """One site's cases: what LocalTraining asks of data. inputs (N, F), labels (N,)."""

    name: str
    cases: int
    inputs: np.ndarray
    labels: np.ndarray

    def get_train_data_size(self) -> int:
        """As the mean weighs it."""
        return self.cases

    def training_batches(
        self, steps: int, batch_size: int, rng: np.random.Generator
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """All of the cases, in each step."""
        for _ in range(steps):
            yield self.inputs, self.labels


def unlike_sites(seed: int = 0) -> list[ToySite]:
    """Four sites, each with a mean and a true model of its own."""
    drawn = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=drawn, dtype=torch.float64)

    shared, sites = normal(FEATURES, CLASSES), []
    for number, cases in enumerate(CASES):
        inputs = normal(SAMPLES, FEATURES) + 0.8 * normal(FEATURES)
        likely = torch.softmax(inputs @ (shared + 1.5 * normal(FEATURES, CLASSES)), 1)
        labels = torch.multinomial(likely, 1, generator=drawn)[:, 0]
        sites.append(ToySite(f"site-{number}", cases, inputs.numpy(), labels.numpy()))
    return sites


def network(model: np.ndarray | None = None) -> nn.Linear:
    """Softmax regression in float64, from zero or from a model (P,)."""
    layer = nn.Linear(FEATURES, CLASSES, bias=False, dtype=torch.float64)
    start = torch.zeros(layer.weight.numel()) if model is None else torch.from_numpy(model)
    with torch.no_grad():
        layer.weight.copy_(start.view_as(layer.weight))
    return layer


def pooled_loss(sites: Sequence[ToySite], layer: nn.Linear) -> torch.Tensor:
    """The loss over the cases of all sites together."""
    total = sum(site.cases for site in sites)
    losses = [
        site.cases / total * LOSS(layer(torch.from_numpy(site.inputs)), labels)
        for site in sites
        for labels in [torch.from_numpy(site.labels)]
    ]
    return torch.stack(losses).sum()


def optimum(sites: Sequence[ToySite]) -> float:
    """The smallest loss that any model has over all cases together."""
    layer = network()
    optimiser = torch.optim.LBFGS(layer.parameters(), max_iter=500)

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        value = pooled_loss(sites, layer)
        value.backward()
        return value

    optimiser.step(closure)  # type: ignore[arg-type]
    return pooled_loss(sites, layer).item()


def train(
    site: ToySite, algorithm: Algorithm, local: LocalTraining, model: np.ndarray, number: int
) -> np.ndarray:
    """A site's round: the model (P,) after its local steps, in float64."""
    layer = network(model)
    local.run(
        layer,
        site,
        loss=LOSS,
        algorithm=algorithm,
        compute=CPU,
        round_number=number,
        rng=np.random.default_rng(0),
    )
    return layer.weight.detach().numpy().ravel()


def excess_by_round(
    sites: Sequence[ToySite],
    algorithm: Callable[[], Algorithm],
    local: LocalTraining,
    rounds: int,
    rule: Any = None,
) -> list[float]:
    """Pooled loss above the optimum, before the first round and after each."""
    best, rule, kept = optimum(sites), rule or WeightedMean(), Memory()
    at_site = {site.name: algorithm() for site in sites}
    for found in at_site.values():
        found.remember(Memory())
    model = np.zeros(FEATURES * CLASSES, np.float32)
    excess = []
    for number in range(rounds + 1):
        with torch.no_grad():
            excess.append(pooled_loss(sites, network(model)).item() - best)
        if number == rounds:
            break
        sent = {
            site.name: (train(site, at_site[site.name], local, model, number), float(site.cases))
            for site in sites
        }
        model = next_model(
            rule,
            sent,
            where=f"round {number}",
            round_number=number,
            before=lambda model=model: model,
            memory=kept,
        )
    return excess
