"""Admission at the aggregator's door: who may call, how much at a time, how fast, and how often.

All of it is asked before anything of a call is read. A member is slowed down rather than refused
where it may be in a hurry for good reasons; whoever is no member gets its refusal, and no more.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from src import require
from src.errors import Busy, Refused, TakenOver
from src.refusal import marked

BESIDE_BYTES = 65_536  # of a message, beside the model in it: header, names, metrics
LEAST_PIECE_BYTES = 64  # a piece of a stream counts as so much, or empty ones would come for ever
GRACE_S = 20.0  # before a stream has to keep up with the floor
MOST_CALLS = 16  # of one site at a time; an honest one has two, and broken ones beside them
BURST = 1000  # calls that a site may make before `calls_per_minute` slows it down
REFUSED_S = 1.0  # for so long a refusal is repeated without looking again
MOST_REFUSED = 1000  # callers whose refusals are remembered


@dataclass(frozen=True, kw_only=True)
class Limits:
    """most_bytes: of one message. slowest_bytes_s: a stream that is slower is given up.

    calls_per_minute: of one site, in the long run; its further calls wait. A call makes at most one
    line of the audit log, so that this bounds the log too, and no line has to be left out.
    """

    most_bytes: int
    slowest_bytes_s: float
    calls_per_minute: float

    def __post_init__(self) -> None:
        require.whole("most_bytes", self.most_bytes, at_least=1)
        require.positive("slowest_bytes_s", self.slowest_bytes_s)
        require.positive("calls_per_minute", self.calls_per_minute)


class Stream:
    """One message on its way, to the aggregator or from it. clock: seconds."""

    def __init__(self, limits: Limits, clock: Callable[[], float], most_bytes: int) -> None:
        self._limits = limits
        self._clock = clock
        self._most_bytes = most_bytes
        self._began = clock()
        self._bytes = 0

    def took(self, size: int) -> None:
        """A piece has passed. Refused: there is more of it than a message has."""
        self._bytes += max(size, LEAST_PIECE_BYTES)
        if self._bytes > self._most_bytes:
            raise Refused(
                marked(f"more than {self._most_bytes} bytes; no such message has so many.")
            )

    def seconds_left(self, more: int = 0) -> float:
        """Within which the next piece must have come, or `more` bytes have gone."""
        allowed = GRACE_S + (self._bytes + more) / self._limits.slowest_bytes_s
        return self._began + allowed - self._clock()

    def too_slow(self) -> Busy:
        """What to tell whoever is slower."""
        return Busy(
            f"{self._bytes} bytes in {self._clock() - self._began:.0f} s; this run expects "
            f"{self._limits.slowest_bytes_s:.0f} a second (aggregator.slowest_bytes_s)."
        )


class Allowance:
    """Calls of one site: `BURST` at once, and then so many a minute."""

    def __init__(self, per_minute: float, now: float) -> None:
        self._per_s = per_minute / 60
        self._left = float(BURST)
        self._at = now

    def take(self, now: float) -> float:
        """Seconds for which this call has to wait."""
        self._left = min(self._left + (now - self._at) * self._per_s, BURST) - 1
        self._at = now
        return max(-self._left / self._per_s, 0.0)


class Admission:
    """identify: the site that may call with a certificate of this common name, as this instance of
    itself (None: not told). Refused, by it: nobody may.

    clock: seconds that never go back (`time.monotonic`).
    """

    def __init__(
        self,
        limits: Limits,
        identify: Callable[[str, str | None], str],
        clock: Callable[[], float],
    ) -> None:
        self.limits = limits
        self._identify = identify
        self._clock = clock
        self._refused: OrderedDict[tuple[str, str | None], tuple[float, str]] = OrderedDict()
        self._calls: dict[str, int] = {}
        self._allowances: dict[str, Allowance] = {}
        self._uploads: dict[str, Callable[[], object]] = {}

    def stream(self, *, small: bool = False) -> Stream:
        """A message that begins now. small: there is no model in it."""
        most = BESIDE_BYTES if small else self.limits.most_bytes
        return Stream(self.limits, self._clock, most)

    def refuse_again(self, common_name: str, instance: str | None) -> None:
        """Refused: as it was a moment ago. Costs nothing, however often it is asked."""
        until, reason = self._refused.get((common_name, instance), (0.0, ""))
        if self._clock() < until:
            raise Refused(reason)

    def caller(self, common_name: str, instance: str | None) -> str:
        """The site that calls. Refused: it may not."""
        try:
            return self._identify(common_name, instance)
        except TakenOver:  # of one process; another one of the site, under the same name, may call
            raise
        except Refused as refusal:
            self._refused[common_name, instance] = (self._clock() + REFUSED_S, str(refusal))
            while len(self._refused) > MOST_REFUSED:
                self._refused.popitem(last=False)
            raise

    @contextmanager
    def call(self, site: str) -> Iterator[float]:
        """While a call of the site is open; gives the seconds for which it has to wait first.

        Busy: too many of them are.
        """
        if self._calls.get(site, 0) >= MOST_CALLS:
            raise Busy(f"{MOST_CALLS} calls of {site} are open already.")
        self._calls[site] = self._calls.get(site, 0) + 1
        try:
            now = self._clock()
            if site not in self._allowances:
                self._allowances[site] = Allowance(self.limits.calls_per_minute, now)
            yield self._allowances[site].take(now)
        finally:
            self._calls[site] -= 1

    @contextmanager
    def upload(self, site: str, give_way: Callable[[], object]) -> Iterator[None]:
        """While an upload of the site is read. A newer one ends it, by `give_way`.

        (Not the other way round: a broken connection leaves an upload behind that never ends.)
        """
        older = self._uploads.get(site)
        if older is not None:
            older()
        self._uploads[site] = give_way
        try:
            yield
        finally:
            if self._uploads.get(site) is give_way:
                del self._uploads[site]
