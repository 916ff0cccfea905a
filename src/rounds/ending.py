"""How a run ends at the aggregator: every site was told or is gone, or it has failed, and why."""

import sqlite3
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

from src.errors import Damaged, MaskReused, Refused
from src.refusal import reason_in
from src.rounds.presence import Presence


class Ending:
    """clock: as of `Presence`. release: called when it is decided, for those who wait."""

    def __init__(
        self, presence: Presence, clock: Callable[[], float], release: Callable[[], None]
    ) -> None:
        self.presence = presence
        self.clock = clock
        self.release = release
        self.failure: str | None = None
        self._decided: float | None = None

    def fail(self, reason: str) -> None:
        """The run cannot go on. The first reason stays."""
        self.failure = self.failure or reason
        self._decide()
        self.release()

    @contextmanager
    def keeping(self, site: str, round_number: int) -> Iterator[None]:
        """Around what keeps a site's answer: a disk that is full fails the run, with its reason.

        So does a mask that was used twice.
        """
        try:
            yield
        except MaskReused as reused:
            self.fail(f"Round {round_number}: {reason_in(str(reused)) or reused}")
            raise
        except (OSError, sqlite3.Error) as error:
            self.fail(
                f"Round {round_number}: what {site} sent cannot be kept: {error}. "
                "Make room on this disk, then start the aggregator again: the round resumes."
            )
            raise

    def _decide(self) -> None:
        if self._decided is None:
            self._decided = self.clock()

    def may_leave(
        self, round_number: int, told: Collection[str], *, over: bool, grace_s: float
    ) -> bool:
        """Whether the process may end now. A round that cannot end any more fails the run here.

        told: the sites that were sent home. over: there is no more work. grace_s: for the sites to
        hear that the run has failed.
        """
        if over:  # also where the run was resumed after its last round
            self._decide()
        gone = self._gone(round_number)
        if self._decided is None:
            reason = self.presence.too_few(round_number)
            if reason:
                self.fail(reason)
            return False
        waiting = set(self.presence.sites) - set(told)
        overdue = self.failure is not None and self.clock() - self._decided > grace_s
        return overdue or not waiting or waiting <= set(gone)

    def _gone(self, round_number: int) -> dict[str, float]:
        try:
            return self.presence.gone()
        except Damaged as damage:  # a newer revocation list was read, and could not be logged
            self.fail(f"Round {round_number}: {damage}")
        except Refused as refusal:  # there is no revocation list in force any more
            self.fail(f"Round {round_number}: {refusal} Then start again: the round resumes.")
        return {}
