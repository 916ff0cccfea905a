"""The round log: one JSON line a round of what the aggregator saw: seconds, bytes, metrics.

Bytes are tensor payloads; TLS, gRPC and polling add about 1 % (`scripts benchmark overhead`).
"""

import json
import time
from pathlib import Path


class RoundLog:
    """The file of rounds; a run that is not resumed begins with an empty one.

    After a restart a round may appear twice; the later line counts.
    """

    def __init__(self, path: Path, *, resumed: bool) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        if not resumed:
            path.write_text("", encoding="utf-8")
        self._reset()

    def _reset(self) -> None:
        self._began: float | None = None
        self._bytes_up = 0
        self._bytes_down = 0

    def begin(self) -> None:
        """Note that the first site has got work; later calls in the same round change nothing."""
        if self._began is None:
            self._began = time.monotonic()

    def received(self, size: int) -> None:
        """Count payload bytes from a site."""
        self._bytes_up += size

    def sent(self, size: int) -> None:
        """Count payload bytes to a site."""
        self._bytes_down += size

    def end(self, round_number: int, sites: dict[str, dict], void: str | None = None) -> None:
        """Write the round's line.

        sites: {name: {train_cases, validation_cases, metrics}}.
        void: why an encrypted round came to nothing.
        """
        seconds = time.monotonic() - self._began if self._began is not None else None
        line = {
            "round": round_number,
            "seconds": seconds,
            "bytes_up": self._bytes_up,
            "bytes_down": self._bytes_down,
            "sites": dict(sorted(sites.items())),
        } | ({"void": void} if void else {})
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        self._reset()
