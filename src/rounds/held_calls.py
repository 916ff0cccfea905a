"""Held calls: a site that asks for work is answered when there is some, not told to ask again.

Each held call keeps a thread of the engine's server, so that only a few are held, and one of each
site; the others are sent away for a second.
"""

from collections.abc import Callable
from threading import Condition

from src import require

THREADS_TO_SPARE = 6  # of the 8 of OpenFL 1.9's server: two stay free for work


class HeldCalls:
    """wait_s: how long a call is held at most. most: calls that are held at a time."""

    def __init__(self, wait_s: float, most: int) -> None:
        require.positive("idle_wait_s", wait_s)
        require.whole("waiting_sites", most)
        require.in_range("waiting_sites", most, 0, THREADS_TO_SPARE)
        self.wait_s = wait_s
        self.most = most
        self._changed = Condition()
        self.count = 0  # of calls that are held now
        self._newest: dict[str, int] = {}

    @property
    def full(self) -> bool:
        """Whether no further call would be held."""
        return self.count >= self.most

    def hold(self, site: str, until: Callable[[], bool]) -> bool:
        """Hold this call until there is an answer, it has waited, or the site calls again.

        False at once if full.
        """
        with self._changed:
            own = self._newest[site] = self._newest.get(site, 0) + 1
            self._changed.notify_all()  # an older call of this site gives way
            if self.full:
                return False
            self.count += 1
            try:
                self._changed.wait_for(lambda: self._newest[site] != own or until(), self.wait_s)
            finally:
                self.count -= 1
        return True

    def release(self) -> None:
        """Something has changed: each held call looks again."""
        with self._changed:
            self._changed.notify_all()

    def pause(self, seconds: float) -> None:
        """Wait for the next change, but not longer."""
        with self._changed:
            self._changed.wait(seconds)
