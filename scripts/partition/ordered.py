"""Ordered: patients sorted by a property and cut into equal groups, so that sites overlap least.

The extreme of a skew of that property, as the sorted shards of McMahan et al. 2017
(arXiv:1602.05629, section 3) are of labels. Patients of equal value are in random order.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from scripts.partition.patients import Patient, known


@dataclass(frozen=True)
class Ordered:
    """needs: the property; numbers ascend, words are in alphabetical order."""

    needs: str
    sites: int | None = field(default=None, init=False)

    def deal(
        self, patients: Sequence[Patient], count: int, rng: np.random.Generator
    ) -> list[list[Patient]]:
        """Groups whose sizes differ by one patient at most. InputError: see `known`."""
        values = known(patients, self.needs)
        drawn = rng.permutation(len(patients)).tolist()
        order = sorted(drawn, key=lambda index: values[index])  # stable, so ties stay random
        return [[patients[index] for index in part] for part in np.array_split(order, count)]
