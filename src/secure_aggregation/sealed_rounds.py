"""The rounds that a site has sealed: a hash chain outside the workspace, beside the ledgers.

A line is on disk before the first byte of the round's update is encrypted. It is the second reason,
beside the mask key that is used up, why nothing is encrypted again after the workspace was set back
to an earlier moment: a backup of the workspace does not hold this file.
"""

from collections.abc import Mapping
from pathlib import Path

from src import hash_chain
from src.errors import Refused
from src.hash_chain import HashChain

FOLDER = "sealed"  # below the ledgers', which looks for its own files in itself alone


class SealedRounds:
    """outside: the folder that outlives workspaces. certificate: SHA-256 of the site's."""

    def __init__(self, outside: Path, site: str, run: str, certificate: str) -> None:
        self.outside = outside
        self.path = outside / FOLDER / f"{site}.jsonl"
        self._site = site
        self._about = {"event": "sealed", "run": run, "certificate": certificate}

    def open(self) -> None:
        """Make the folder. Refused: that is not possible, so nothing could be noted."""
        try:
            self.outside.mkdir(parents=True, mode=0o700, exist_ok=True)
            self.path.parent.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise Refused(
                f"{self.path.parent}: here, outside its workspace, a site notes the rounds that it "
                f"has encrypted, and cannot: {error.strerror}. Give this user the folder (mode "
                "0700), or set GLIOMA_LEDGER to another."
            ) from None

    def holds(self, round_number: int) -> bool:
        """Whether the round was sealed here. Damaged: the chain was altered."""
        if not self.path.is_file():
            return False
        HashChain(self.path).repair()
        return self._is_in_chain(round_number)

    def _is_in_chain(self, round_number: int) -> bool:
        wanted = (self._about | {"round": round_number}).items()
        return any(wanted <= line.items() for line in hash_chain.read(self.path))

    def note(self, round_number: int) -> None:
        """Note that the round is being sealed now. Refused: it was sealed before."""
        self.open()

        def line(number: int, previous: str) -> Mapping[str, object]:
            if number and self._is_in_chain(round_number):
                raise Refused(
                    f"Round {round_number}: this site has encrypted its update already (noted in "
                    f"{self.path}). A second one under the same masks would show both."
                )
            return self._about | {"round": round_number}

        HashChain(self.path, mode=0o600).append_made(line)
