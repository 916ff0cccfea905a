"""The settings of encrypted plans: how fine the numbers, how many sites, what ends a run."""

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from src import require
from src.errors import SettingError
from src.secure_aggregation import bfv
from src.secure_aggregation.fixed_point import slots_for
from src.secure_aggregation.protocol import VERSION

PAYLOAD = bfv.N - 1  # slots of a chunk beside its MAC


@dataclass(frozen=True, kw_only=True)
class Encryption:
    """The settings of an encrypted plan.

    bits: of a sum. 24 is in practice as exact as float32; 16 is for slow links.
    min_sites: the quorum, the fewest sites in a round; None: max(3, 2n/3 rounded down + 1) of n
        enrolled.
    accomplices: how many sites may work with the aggregator without it reading one site's update.
    max_void: how many rounds of a run may be void; then the run stops.
    max_roster_changes: how often the roster of a run may change; then the run stops.
    most_cases: how many training cases a site may have. A loose cap costs log2(cap / cases) bits of
        precision.
    cases: the same by site, where it differs.
    """

    bits: int = 24
    min_sites: int | None = None
    accomplices: int = 1
    max_void: int = 2
    max_roster_changes: int = 2
    most_cases: int = 100
    cases: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        require.one_of("bits", self.bits, (24, 16, 12))
        require.whole("accomplices", self.accomplices)
        require.whole("max_void", self.max_void)
        require.whole("max_roster_changes", self.max_roster_changes)
        require.whole("most_cases", self.most_cases, at_least=1)
        require.mapping("cases", self.cases)
        for site, cap in self.cases.items():
            require.whole(f"cases of {site}", cap, at_least=1)
        if self.min_sites is not None:
            require.whole("min_sites", self.min_sites, at_least=3)

    def needed(self, enrolled: int) -> int:
        """The quorum of a round: the fewest sites, of so many enrolled.

        SettingError: too few are enrolled; the plan's number would let two disjoint halves both
            reach the quorum; or fewer than two sites would be left beside the accomplices.
        """
        fewest = max(3, enrolled // 2 + 1)
        found = self.min_sites or usual_min_sites(enrolled)
        if enrolled < 3 or not fewest <= found <= enrolled <= bfv.MOST_SUMMANDS:
            raise SettingError(
                f"Encrypted updates need 3 to {bfv.MOST_SUMMANDS} sites, and min_sites between "
                f"max(3, half of them + 1) and all; {enrolled} are enrolled, min_sites is {found}. "
                "With one or two sites each can work out the other's update: plan/plain.yaml."
            )
        if found - self.accomplices < 2:
            raise SettingError(
                f"min_sites is {found}; with {self.accomplices} accomplices (compression_pipeline."
                "accomplices) fewer than 2 honest sites remain, so that one's update can be read."
            )
        return found

    def over_limit(self, voids: Collection[int], changes: Collection[int]) -> str | None:
        """Why a run with these void rounds and changes of the roster must end; None: it goes on.

        Both ends count by themselves, and neither goes on over what the other allows.
        """
        limits = (
            ("void rounds", voids, "max_void", self.max_void),
            ("changes of the roster", changes, "max_roster_changes", self.max_roster_changes),
        )
        for what, found, setting, limit in limits:
            if len(found) > limit:
                return (
                    f"{len(found)} {what} in this run (rounds {sorted(found)}), allowed are "
                    f"{limit} (compression_pipeline.{setting})."
                )
        return None

    def cap(self, site: str) -> int:
        """How many training cases this site may have."""
        return self.cases.get(site, self.most_cases)

    def total(self, sites: Iterable[str]) -> int:
        """The sum of the caps of the enrolled sites, of which every site's weight is a share."""
        return sum(self.cap(site) for site in sites)

    def chunks(self, values: int) -> int:
        """How many ciphertexts a model of so many values takes."""
        return -(-slots_for(values, self.bits) // PAYLOAD)

    def fingerprint(self, values: int) -> str:
        """SHA-256 over everything that both parties must agree on to understand the bytes."""
        numbers = bfv.parameters() | {"bits": self.bits, "values": values, "protocol": VERSION}
        return hashlib.sha256(json.dumps(numbers, sort_keys=True).encode()).hexdigest()


def usual_min_sites(enrolled: int) -> int:
    """The quorum where the plan names none: more than two thirds, at least 3."""
    return max(3, 2 * enrolled // 3 + 1)
