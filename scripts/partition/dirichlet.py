"""Dirichlet: for each group of patients, the sites' shares are drawn from Dir(alpha).

Small alpha: a group is nearly whole at one site; large alpha: sites are alike (Hsu et al. 2019,
arXiv:1909.06335; by group as in Yurochkin et al. 2019, arXiv:1905.12022).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from scripts.partition.patients import PROPERTIES, Patient, known
from scripts.partition.strategies import FEWEST_PATIENTS
from src.errors import InputError

GROUPS = 4  # of a property that is a number: quarters by rank

DRAWS = 200


@dataclass(frozen=True)
class Dirichlet:
    """needs: the property whose groups are shared out. alpha: the concentration, above 0."""

    needs: str
    alpha: float
    sites: int | None = field(default=None, init=False)

    @classmethod
    def read(cls, words: list[str]) -> "Dirichlet":
        """From `dirichlet:grade:0.3`. InputError: another text."""
        try:
            name, text = words
            alpha = float(text)
            if name not in PROPERTIES or not 0 < alpha < float("inf"):
                raise ValueError
            return cls(name, alpha)
        except ValueError:
            raise InputError(
                "--partition dirichlet: expected dirichlet:PROPERTY:ALPHA, PROPERTY one of "
                f"{', '.join(PROPERTIES)} and ALPHA above 0, as in dirichlet:grade:0.3; found "
                f"{':'.join(['dirichlet', *words])!r}."
            ) from None

    def deal(
        self, patients: Sequence[Patient], count: int, rng: np.random.Generator
    ) -> list[list[Patient]]:
        """Drawn anew until every site has two patients. InputError: none was so; see `known`."""
        groups = self._groups(patients)
        for _ in range(DRAWS):
            sites = self._drawn(groups, count, rng)
            if min(map(len, sites)) >= FEWEST_PATIENTS:
                return sites
        raise InputError(
            f"--partition dirichlet:{self.needs}:{self.alpha:g}: in {DRAWS} draws there was always "
            f"a site with fewer than {FEWEST_PATIENTS} of the {len(patients)} patients. Raise "
            "alpha, lower --sites, or take another --seed."
        )

    def _groups(self, patients: Sequence[Patient]) -> list[list[Patient]]:
        values = known(patients, self.needs)
        if isinstance(values[0], str):
            names = sorted({str(value) for value in values})
            return [
                [p for p, value in zip(patients, values, strict=True) if value == name]
                for name in names
            ]
        order = sorted(range(len(patients)), key=lambda index: values[index])
        return [[patients[index] for index in part] for part in np.array_split(order, GROUPS)]

    def _drawn(
        self, groups: list[list[Patient]], count: int, rng: np.random.Generator
    ) -> list[list[Patient]]:
        sites: list[list[Patient]] = [[] for _ in range(count)]
        for group in groups:
            shares = rng.dirichlet(np.full(count, self.alpha))
            bounds = np.floor(np.cumsum(shares)[:-1] * len(group) + 0.5).astype(int)
            order = rng.permutation(len(group))
            for site, part in zip(sites, np.split(order, bounds), strict=True):
                site.extend(group[index] for index in part.tolist())
        return sites
