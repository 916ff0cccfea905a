"""How unlike sites are: for each property one number, and what each site has of it.

Numbers (volume, age, intensity): the earth mover's distance (Wasserstein-1) of two sites, in
standard deviations of all patients. Words (grade, scanner): the total variation distance, 0 (equal
shares) to 1 (no group in common). Each is the mean over all pairs of sites; `floor` is what sites
of these sizes differ by when patients are dealt at random.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.stats import wasserstein_distance

from scripts.partition.patients import PROPERTIES, Patient, Value, value

SHUFFLES = 200  # of the floor
SEED = 0


@dataclass(frozen=True)
class Distance:
    """A property's distance between sites. most: of the pair that is furthest apart."""

    mean: float
    most: float
    floor: float


def distances(sites: Mapping[str, Sequence[Patient]]) -> dict[str, Distance]:
    """By property; without those that some patient lacks or that all patients have alike."""
    found = {}
    for name in PROPERTIES:
        values = [[value(patient, name) for patient in own] for own in sites.values()]
        whole = [known for own in values for known in own if known is not None]
        if len(sites) > 1 and len(whole) == sum(map(len, values)) and len(set(whole)) > 1:
            found[name] = distance(values)
    return found


def distance(values: Sequence[Sequence[Value | None]]) -> Distance:
    """Of a property that every patient has, by site."""
    pairs = _pairs(values)
    rng = np.random.default_rng(SEED)
    whole = [one for own in values for one in own]
    bounds = np.cumsum([len(own) for own in values])[:-1]
    shuffled = []
    for _ in range(SHUFFLES):
        order = rng.permutation(len(whole))
        parts = np.split(order, bounds)
        shuffled.append(np.mean(_pairs([[whole[index] for index in part] for part in parts])))
    return Distance(float(np.mean(pairs)), float(max(pairs)), float(np.mean(shuffled)))


def _pairs(values: Sequence[Sequence[Value | None]]) -> list[float]:
    whole = [one for own in values for one in own]
    if isinstance(whole[0], str):
        return [_total_variation(a, b) for a, b in combinations(values, 2)]
    spread = float(np.std(np.array(whole, float)))
    return [wasserstein_distance(a, b) / spread for a, b in combinations(values, 2)]


def _total_variation(a: Sequence[Value | None], b: Sequence[Value | None]) -> float:
    groups = {*a, *b}
    return 0.5 * sum(abs(a.count(one) / len(a) - b.count(one) / len(b)) for one in groups)
