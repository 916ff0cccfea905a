"""Which updates the aggregator was sent, for all rounds of the run: a second one is noticed.

A site that sends two different updates for one round has used its masks twice: it was started
twice, set back or copied, or its key is in other hands. Then the difference of the two can be read
by whoever has the key of sums. So the run ends, also if the second one comes after its round, or
after this process was started again.
"""

import hashlib
from pathlib import Path

from src import hash_chain
from src.errors import MaskReused
from src.hash_chain import HashChain

TAKEN, REUSED = "taken", "reused"


class Taken:
    """path: of a hash chain, one line an update."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._digests: dict[tuple[str, int], str] | None = None

    def note(self, site: str, round_number: int, update: bytes) -> None:
        """Note an update before it is stored; a repeat of the same bytes changes nothing.

        MaskReused: another one was noted for this site and round. That is on disk, too.
        """
        digest = hashlib.sha256(update).hexdigest()
        if self._digests is None:
            self._digests = self._read()
        first = self._digests.setdefault((site, round_number), digest)
        if first == digest:
            self._append(TAKEN, site, round_number, digest)
            return
        self._append(REUSED, site, round_number, digest)
        raise MaskReused(_told(site, round_number, first, digest))

    @property
    def alarm(self) -> str | None:
        """Why the run must not go on; None: no mask was used twice."""
        for line in self._lines():
            if line["event"] == REUSED:
                first = self._read()[line["site"], line["round"]]
                return _told(line["site"], line["round"], first, line["sha256"])
        return None

    def _append(self, event: str, site: str, round_number: int, digest: str) -> None:
        about = {"event": event, "site": site, "round": round_number, "sha256": digest}
        if not any(about.items() <= line.items() for line in self._lines()):
            HashChain(self.path).append(**about)

    def _read(self) -> dict[tuple[str, int], str]:
        return {
            (line["site"], line["round"]): line["sha256"]
            for line in self._lines()
            if line["event"] == TAKEN
        }

    def _lines(self) -> list[hash_chain.Entry]:
        if not self.path.is_file():
            return []
        HashChain(self.path).repair()
        return hash_chain.read(self.path)


def _told(site: str, round_number: int, first: str, second: str) -> str:
    return (
        f"{site} has sent two different updates for round {round_number} (SHA-256 {first[:16]}… "
        f"and {second[:16]}…): its masks were used twice. It was started twice, set back to an "
        "earlier moment or copied, or its key is in other hands. The run ends here: find out "
        "which, then start a new one."
    )
