"""How many sites are enough for privacy per site: the mean's noise against the longest update.

The noise of a sum does not grow with the number of sites; what they have learnt together does. For
a handful of hospitals and a whole network it is hopeless, and this says so beforehand.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

from src.secure_aggregation.bfv import MOST_SUMMANDS
from src.secure_aggregation.settings import usual_min_sites

SITES = (3, 5, 10, 23, 33, 70, 100, 300, 1000)  # 23 and 33: the partitions of FeTS 2022
WORTHWHILE = 1.0  # above it, a round's noise is longer than the mean of clipped updates can be


@dataclass(frozen=True)
class Feasibility:
    """The noise of one round for a given number of sites.

    contributors: how many of the sites are counted on to add their noise.
    noise: the length of the noise in the mean over all sites, in clip norms.
    """

    sites: int
    contributors: int
    noise: float

    @property
    def worthwhile(self) -> bool:
        """Whether something may be learnt; otherwise the model drifts with the noise."""
        return self.noise <= WORTHWHILE

    @property
    def encryptable(self) -> bool:
        """Whether so many sites fit into one encrypted sum."""
        return self.sites <= MOST_SUMMANDS


def feasibility(noise_multiplier: float, values: int, sites: int, contributors: int) -> Feasibility:
    """The noise for so many sites and trainable values, counting on so many honest contributors."""
    noise = noise_multiplier * math.sqrt(values / (contributors * sites))
    return Feasibility(sites, contributors, noise)


def table(
    noise_multiplier: float, values: int, sites: Sequence[int] = SITES, *, accomplices: int = 1
) -> list[Feasibility]:
    """The same for several numbers of sites, with the usual `min_sites` for each."""
    return [
        feasibility(noise_multiplier, values, number, max(2, usual_min_sites(number) - accomplices))
        for number in sites
    ]


def enough(noise_multiplier: float, values: int) -> int:
    """The smallest number of sites with which something may be learnt."""
    return next(n for n in count(3) if table(noise_multiplier, values, [n])[0].worthwhile)
