"""A strategy of a partition: how patients are dealt to sites. Each lies in a file of its own.

`--partition NAME` or `NAME:SETTINGS` chooses one; `STRATEGIES` is the table of names.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from scripts.partition.dirichlet import Dirichlet
from scripts.partition.grouped import Grouped
from scripts.partition.ordered import Ordered
from scripts.partition.patients import Patient
from scripts.partition.quantity import Quantity
from src.errors import InputError


class Strategy(Protocol):
    """How patients are dealt. sites: how many it says that there are; None: it does not."""

    @property
    def sites(self) -> int | None: ...

    def deal(
        self, patients: Sequence[Patient], count: int, rng: np.random.Generator
    ) -> list[list[Patient]]:
        """The patients of each of `count` sites: every patient once. InputError: it cannot be."""
        ...


STRATEGIES: dict[str, tuple[Callable[[list[str]], Strategy], str]] = {
    "volume": (lambda words: Ordered("volume", *words), "sites by tumour volume, small to large"),
    "grade": (lambda words: Ordered("grade", *words), "sites by grade"),
    "age": (lambda words: Ordered("age", *words), "sites by age, young to old"),
    "scanner": (lambda words: Grouped("scanner", *words), "each scanner's patients at one site"),
    "quantity": (
        Quantity.read,
        "sites of unlike sizes: quantity:1.5 (power law) or quantity:40,16,8",
    ),
    "dirichlet": (Dirichlet.read, "shares drawn for each group, dirichlet:grade:0.3"),
}


def strategy_of(text: str) -> Strategy | None:
    """The strategy that `--partition` names; None: it names none of these.

    InputError: its settings are not what it takes.
    """
    name, *words = text.split(":")
    if name not in STRATEGIES:
        return None
    make, about = STRATEGIES[name]
    try:
        return make(words)
    except TypeError:
        raise InputError(f"--partition {text}: expected {name} alone ({about}).") from None
