"""The running sum of a round: each update is added when it comes, by worker processes.

If such a process dies, the sum is made anew from the files, and nothing but time is lost.
"""

from collections.abc import Mapping
from pathlib import Path

from src.errors import Refused, WireError, WorkerRefused
from src.secure_aggregation import bfv, framing
from src.secure_aggregation.workers import Adders


class RunningSum:
    """The sum of the updates of one round.

    chunks: how many ciphertexts an update has.
    """

    def __init__(self, chunks: int) -> None:
        self.chunks = chunks
        self.adders = Adders(chunks)
        self._added: set[str] = set()  # sites whose updates are in it

    def start(self) -> None:
        """Start the processes. WorkerRefused: this machine's TenSEAL adds wrongly."""
        self.adders.start()

    def close(self) -> None:
        """End the processes."""
        self.adders.close()

    def add(self, site: str, update: bytes) -> None:
        """Add an update to the sum.

        Refused: it holds anything but fresh ciphertexts; nothing is added.
        """
        found = records(update, self.chunks)
        if not self.adders.alive:
            self.forget()
        try:
            self.adders.add(found)
        except WorkerRefused as error:
            raise Refused(f"a damaged upload: {error}") from None
        self._added.add(site)

    def over(self, updates: Mapping[str, Path]) -> list[memoryview]:
        """The sum over exactly these sites' updates; afterwards a new one is begun."""
        if not self.adders.alive or self._added != set(updates):
            self.forget()
            for site, path in updates.items():
                self.add(site, path.read_bytes())
        found = self.adders.sum()
        self.forget()
        return found

    def forget(self) -> None:
        """Begin a new sum."""
        self.adders.forget()
        self._added = set()


def records(upload: bytes, count: int) -> list[memoryview]:
    """The ciphertexts of an upload, not yet parsed. Refused: there are not as many as there must
    be.
    """
    try:
        return framing.records(upload, count=count, most_bytes=bfv.MOST_BYTES[bfv.FRESH])
    except WireError as error:
        raise Refused(f"a damaged upload: {error}") from None
