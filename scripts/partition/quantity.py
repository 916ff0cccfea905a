"""Quantity: sites whose patients are alike, and whose numbers are not (quantity skew).

The k-th largest site gets a share in proportion to k**-exponent (a power law, as in Li et al. 2022,
NIID-Bench, arXiv:2102.02079), or the numbers are given.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scripts.partition.patients import Patient
from scripts.partition.strategies import FEWEST_PATIENTS
from src.errors import InputError


@dataclass(frozen=True)
class Quantity:
    """exponent: of the power law. counts: of patients by site, instead of it."""

    exponent: float = 1.0
    counts: tuple[int, ...] = ()

    @property
    def sites(self) -> int | None:
        """As many as numbers were given."""
        return len(self.counts) or None

    @classmethod
    def read(cls, words: list[str]) -> "Quantity":
        """From `quantity`, `quantity:1.5` or `quantity:40,16,8`. InputError: another text."""
        try:
            (text,) = words or ["1"]
            if "," in text:
                counts = tuple(int(word) for word in text.split(","))
                if min(counts) < FEWEST_PATIENTS:
                    raise ValueError
                return cls(counts=counts)
            exponent = float(text)
            if not 0 <= exponent <= 10:
                raise ValueError
            return cls(exponent)
        except ValueError:
            raise InputError(
                "--partition quantity: expected quantity:1.5 (the exponent of a power law, 0 to "
                f"10) or the patients of each site, each at least {FEWEST_PATIENTS}, as in "
                f"quantity:40,16,8; found {':'.join(['quantity', *words])!r}."
            ) from None

    def deal(
        self, patients: Sequence[Patient], count: int, rng: np.random.Generator
    ) -> list[list[Patient]]:
        """Patients in random order, cut at the numbers. InputError: they do not sum up."""
        counts = self.counts or self._shares(len(patients), count)
        if len(counts) != count or sum(counts) != len(patients):
            raise InputError(
                f"--partition quantity: {len(counts)} numbers that sum to {sum(counts)}, for "
                f"{count} sites and {len(patients)} patients. Give one number a site; together "
                "they are all patients."
            )
        order = rng.permutation(len(patients)).tolist()
        bounds = np.cumsum(counts)[:-1]
        return [[patients[index] for index in part] for part in np.split(np.array(order), bounds)]

    def _shares(self, total: int, count: int) -> tuple[int, ...]:
        """Whole numbers by largest remainder, after the fewest for each. InputError: too few."""
        spare = total - FEWEST_PATIENTS * count
        if spare < 0:
            raise InputError(
                f"--partition quantity: expected at least {FEWEST_PATIENTS * count} patients "
                f"for {count} sites, found {total}. Lower --sites."
            )
        ranks = np.arange(1, count + 1, dtype=float)
        wanted = total * ranks**-self.exponent / (ranks**-self.exponent).sum()
        above = np.maximum(wanted - FEWEST_PATIENTS, 0)
        exact = spare * above / above.sum() if above.sum() else np.full(count, spare / count)
        whole = np.floor(exact).astype(int)
        left = spare - int(whole.sum())
        for index in np.argsort(whole - exact, kind="stable")[:left]:
            whole[index] += 1
        return tuple(int(number) + FEWEST_PATIENTS for number in whole)
