"""Instances: which process of each site speaks with the aggregator; one at a time does.

Each process of a site draws an instance id, introduces itself with it, and names it at every call.
A workspace's lock keeps two processes of one machine apart; this tells two machines from each
other, of which one is a copy. A restart is no alarm: its process introduces itself, and the one
before it is heard no more. If that one does call again, two of them are at work.
"""

import re
import secrets
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from src.errors import Refused, TakenOver
from src.refusal import TAKEN_OVER

ID = re.compile(r"[0-9a-f]{32}", re.ASCII)
MOST_RETIRED = 1000  # of one site; its 1001st process is told from the first no more
METADATA = "instance"  # the key by which a call names it
_speaking: ContextVar[str | None] = ContextVar("instance", default=None)


@contextmanager
def spoken_by(instance: str | None) -> Iterator[None]:
    """In the block, in this thread, a call of this process is answered."""
    before = _speaking.set(instance)
    try:
        yield
    finally:
        _speaking.reset(before)


def speaking() -> str | None:
    """The process whose call is being answered; None: its engine does not tell."""
    return _speaking.get()


def new_instance() -> str:
    """A new process's id."""
    return secrets.token_hex(16)


class Instances:
    """What the aggregator knows of the sites' processes, since it was started itself."""

    def __init__(self) -> None:
        self._current: dict[str, str] = {}
        self._retired: dict[str, OrderedDict[str, None]] = {}

    def introduced(self, site: str, instance: str) -> bool:
        """A process has introduced itself; from here on it speaks for the site, and no other.

        Gives whether it takes over from one that has spoken before. Refused: it is no id.
        TakenOver: it is one of a process from which another has taken over.
        """
        if not ID.fullmatch(instance):
            raise Refused(f"{instance!r:.80} is no instance of {site}.")
        self.check(site, instance)
        before = self._current.get(site)
        if before in (None, instance):
            self._current[site] = instance
            return False
        retired = self._retired.setdefault(site, OrderedDict())
        retired[before] = None
        while len(retired) > MOST_RETIRED:
            retired.popitem(last=False)
        self._current[site] = instance
        return True

    def check(self, site: str, instance: str | None) -> None:
        """TakenOver: another process of the site has introduced itself since this one has."""
        if instance is not None and instance in self._retired.get(site, ()):
            raise TakenOver(
                f"{TAKEN_OVER} {self._current[site][:8]}… has taken over from {instance[:8]}…: "
                "this site runs twice, here or on another machine. Two processes of one site would "
                "use one mask twice. End one of them, and find out who has started it."
            )

    def speaks(self, site: str, instance: str | None) -> bool:
        """Whether this is the process that has introduced itself last. None: it does not say."""
        return instance is None or self._current.get(site) == instance
