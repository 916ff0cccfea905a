"""Who is there: when each site was last heard, and who has been silent for too long.

A site that trains is silent for minutes or hours, but its heart beats beside that; a site that is
not heard for the grace time is gone for good, and one that is revoked is gone at once.
"""

from collections.abc import Callable, Iterable
from typing import Protocol

from src import require


class Gate(Protocol):
    """What is needed of an aggregator's gate here; `src.trust.gate.AggregatorGate` is one."""

    def revoked(self, site: str) -> bool: ...


class Presence:
    """sites: enrolled. needed: of these, for a round to end. grace_s: of silence.

    clock: seconds that never go back (`time.monotonic`).
    """

    def __init__(
        self,
        gate: Gate,
        sites: Iterable[str],
        needed: int,
        grace_s: float,
        clock: Callable[[], float],
    ) -> None:
        require.positive("site_grace_s", grace_s)
        self.gate = gate
        self.sites = sorted(sites)
        self.needed = needed
        self.grace_s = grace_s
        self.clock = clock
        self._began = clock()
        self._heard: dict[str, float] = {}

    def heard(self, site: str) -> None:
        """A sign of life."""
        self._heard[site] = self.clock()

    def gone(self) -> dict[str, float]:
        """Sites that are gone, with their seconds of silence."""
        now = self.clock()
        silence = {site: now - self._heard.get(site, self._began) for site in self.sites}
        return {
            site: seconds
            for site, seconds in silence.items()
            if seconds > self.grace_s or self.gate.revoked(site)
        }

    def present(self) -> set[str]:
        """All the others."""
        return set(self.sites) - set(self.gone())

    def too_few(self, round_number: int) -> str | None:
        """Why the round cannot end any more, in words for the operator; None: it can."""
        gone = self.gone()
        if not gone or len(self.sites) - len(gone) >= self.needed:
            return None
        told = ", ".join(f"{site} ({self._told(site, gone[site])})" for site in sorted(gone))
        return (
            f"Round {round_number} waits for {told}. Allowed: {self.grace_s:.0f} s "
            "(aggregator.site_grace_s). Start the site again and then the aggregator, or set a "
            "straggler_handling_policy that goes on without it."
        )

    def _told(self, site: str, seconds: float) -> str:
        if self.gate.revoked(site):
            return "its certificate is revoked"
        if site in self._heard:
            return f"last heard {seconds:.0f} s ago"
        return f"never connected; waited {seconds:.0f} s"
