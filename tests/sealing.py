"""A small encrypted federation, and what its models should become."""

from pathlib import Path

import numpy as np

from scripts.benchmark import one_process


class Federation(one_process.Federation):
    """size: values of the model, in two tensors."""

    def __init__(
        self, folder: Path, cases: dict[str, int], size: int = 20, **settings: object
    ) -> None:
        self.size = size
        initial = np.linspace(-1, 1, size).astype(np.float32)
        sizes = [size // 2, size - size // 2]
        super().__init__(folder, cases, initial, sizes, **({"most_cases": 10} | settings))


def models_of(federation: Federation, seed: int = 0) -> dict[str, np.ndarray]:
    """A trained model for each site: the initial one, and something of its own."""
    rng = np.random.default_rng(seed)
    return {
        name: federation.initial + rng.normal(0, 0.1, federation.size).astype(np.float32)
        for name in federation.cases
    }


def mean_of(federation: Federation, models: dict[str, np.ndarray], *absent: str) -> np.ndarray:
    """The weighted mean in float64."""
    present = {name: n for name, n in federation.cases.items() if name not in absent}
    total = sum(present.values())
    return sum(n / total * models[name].astype(np.float64) for name, n in present.items())


def bound_of(federation: Federation, *absent: str) -> float:
    """n * step * W / count, with the steps of the initial model (its reach is 4)."""
    present = {name: n for name, n in federation.cases.items() if name not in absent}
    step = 4 * 2.0 ** -(federation.encryption.bits - 1)
    total = federation.encryption.total(federation.cases)
    return len(present) * step * total / sum(present.values())
