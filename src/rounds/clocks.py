"""Clocks: the aggregator tells the time with its answer to a ping, and a site compares its own."""

from collections.abc import Iterable
from datetime import datetime, timedelta

METADATA = "time"  # the key under which an answer bears it
TOLERANCE = timedelta(minutes=5)
MOST = 40  # characters of a time


def told(now: datetime) -> tuple[str, str]:
    """What the aggregator says of its clock."""
    return METADATA, now.isoformat(timespec="seconds")


def difference(metadata: Iterable[tuple[str, str | bytes]], now: datetime) -> str | None:
    """A warning: the clock here and the aggregator's are too far apart; None: they are not.

    metadata: what came with the answer. An aggregator that tells no time is not compared.
    """
    there = _time(dict(metadata).get(METADATA))
    if there is None or abs(now - there) <= TOLERANCE:
        return None
    apart = timedelta(seconds=round(abs(now - there).total_seconds()))
    side = "ahead of" if now > there else "behind"
    return (
        f"this clock is {apart} {side} the aggregator's: it is {now:%F %T} UTC here, and "
        f"{there:%F %T} there. Certificates and revocation lists end by the clock: set the one "
        "that is wrong (timedatectl)."
    )


def _time(value: object) -> datetime | None:
    try:
        found = datetime.fromisoformat(str(value)[:MOST])
        return found if found.tzinfo else None
    except ValueError:
        return None
