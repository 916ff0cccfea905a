"""Grouped: all patients who share a property are at one site, such as those of one scanner."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from scripts.partition.patients import Patient, known
from src.errors import InputError


@dataclass(frozen=True)
class Grouped:
    """needs: the property."""

    needs: str
    sites: int | None = field(default=None, init=False)

    def deal(
        self, patients: Sequence[Patient], count: int, rng: np.random.Generator
    ) -> list[list[Patient]]:
        """The largest group first, each to the site that has fewest patients then.

        InputError: fewer groups than sites; see also `known`.
        """
        groups: dict[str, list[Patient]] = {}
        for patient, group in zip(patients, known(patients, self.needs), strict=True):
            groups.setdefault(str(group), []).append(patient)
        if len(groups) < count:
            raise InputError(
                f"--partition by {self.needs}: expected at least {count} groups for {count} sites, "
                f"found {len(groups)}: {', '.join(sorted(groups))}. Lower --sites."
            )
        sites: list[list[Patient]] = [[] for _ in range(count)]
        for name in sorted(groups, key=lambda name: (-len(groups[name]), name)):
            min(sites, key=len).extend(groups[name])
        return sites
