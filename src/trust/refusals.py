"""Refusals as the audit log gets them: each once, so many a minute of a caller, then a number."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

MOST_A_MINUTE = 30  # lines of one caller
MOST_REMEMBERED = 1000  # refusals that are not told twice, however often they come


@dataclass
class Minute:
    """What one caller was told since `began`. left: how many refusals were left out."""

    began: datetime
    told: int = 0
    left: int = 0


class Refusals:
    """Callers choose what they say, and nobody shall fill the disk with it, nor hide among it.

    clock: gives the time.
    """

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._told: set[str] = set()
        self._minutes: dict[str, Minute] = {}

    def lines(self, caller: str, text: str) -> Iterator[str]:
        """What is to be logged now, where `text` tells the caller why it was refused."""
        if text in self._told:
            return
        now = self._clock()
        minute = self._minutes.setdefault(caller, Minute(now))
        if (now - minute.began).total_seconds() >= 60:
            yield from self._left_out(caller)
            minute = self._minutes[caller] = Minute(now)
        if minute.told >= MOST_A_MINUTE:
            minute.left += 1
            return
        minute.told += 1
        if len(self._told) < MOST_REMEMBERED:
            self._told.add(text)
        yield text

    def left_out(self) -> Iterator[str]:
        """How many refusals were left out of the log so far, by caller; told once."""
        for caller in sorted(self._minutes):
            yield from self._left_out(caller)

    def _left_out(self, caller: str) -> Iterator[str]:
        minute = self._minutes[caller]
        if minute.left:
            yield f"{caller}: {minute.left} further refusals since {minute.began:%F %T} UTC"
            minute.left = 0
