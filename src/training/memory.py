"""What an algorithm keeps at its site from round to round; a round that came to nothing is undone.

A site that has trained a round does not know yet whether the round will count. So two versions are
kept: what held before the round, and what holds after it if it counts. Which of the two it is
shows when the next round's model is here. Both lie in one file, which is the site's own, readable
by its user alone and written whole: a process that is killed at any moment goes on from there.
"""

import io
import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np

from src.errors import Damaged, Refused
from src.files import write_atomically

Arrays = Mapping[str, np.ndarray]
FILE = "algorithm.npz"


@dataclass(frozen=True)
class History:
    """What a site knows of the rounds before the open one.

    summed: the last round whose updates have made the model; None: none has.
    rosters: the sites of each round, from that one (or the first) to the open one. Empty where
        every site takes part in every round.
    """

    summed: int | None
    rosters: Mapping[int, Sequence[str]] = field(default_factory=dict)

    def changed_after(self, round_number: int) -> bool:
        """Whether a later round has another roster than the round before it."""
        return any(
            later > round_number and set(self.rosters[later]) != set(self.rosters[earlier])
            for earlier, later in pairwise(sorted(self.rosters))
        )


def every_round_counts(round_number: int) -> History:
    """The history of a run in which no round comes to nothing, and nobody is missing."""
    return History(round_number - 1 if round_number else None)


@dataclass(frozen=True)
class Recalled:
    """What is known when a round begins.

    before, after: as they were kept with the last round that this site has trained.
    counted: that round's updates have made the open round's model.
    changed: the roster has changed since; who was not there knows nothing of what the others keep.
    void: that round came to nothing, or is being trained again.
    lost: this site has taken part in a round of which nothing is kept here.
    """

    before: Arrays = field(default_factory=dict)
    after: Arrays = field(default_factory=dict)
    counted: bool = False
    changed: bool = False
    void: bool = False
    lost: bool = False


class Memory:
    """path: the file; None: of this process alone. run: what the content belongs to.

    history: gives that of an open round.
    """

    def __init__(
        self,
        path: Path | None = None,
        run: str = "",
        history: Callable[[int], History] = every_round_counts,
    ) -> None:
        self.path = path
        self._run = run
        self._history = history
        self._content: bytes | None = None  # of a memory without a file

    def recall(self, round_number: int) -> Recalled:
        """What was kept, and what has become of it.

        Refused: it is of a later round. Damaged: the file cannot be read.
        """
        kept = self._read()
        last = -1 if kept is None else kept[0]
        if last > round_number > 0:
            raise Refused(
                f"The aggregator is in round {round_number}; this site has trained round {last}, "
                f"and what its algorithm keeps ({self.path}) cannot go back. Start a new run."
            )
        if kept is None or last > round_number:  # round 0: a new start of the same run
            last, before, after = -1, {}, {}
        else:
            _, before, after = kept
        if last == round_number:  # it is trained anew: from where it began
            return Recalled(before, void=True)
        history = self._history(round_number)
        changed = history.changed_after(last)
        summed = -1 if history.summed is None else history.summed
        return Recalled(
            before,
            after,
            counted=0 <= last == summed,
            changed=changed,
            void=last > summed,
            lost=summed > last and not changed,
        )

    def keep(self, round_number: int, *, before: Arrays, after: Arrays) -> None:
        """Put both versions in place of the last ones, before the round's update leaves."""
        content = io.BytesIO()
        about = json.dumps({"run": self._run, "round": round_number})
        arrays = {f"before/{name}": array for name, array in before.items()}
        arrays |= {f"after/{name}": array for name, array in after.items()}
        np.savez(content, about=np.array(about), **arrays)  # type: ignore[arg-type]
        if self.path is None:
            self._content = content.getvalue()
        else:
            write_atomically(self.path, content.getvalue(), mode=0o600)

    def _read(self) -> tuple[int, Arrays, Arrays] | None:
        """(round, before, after); None: nothing is kept of this run."""
        content = self._content
        if self.path is not None:
            content = self.path.read_bytes() if self.path.exists() else None
        if content is None:
            return None
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as found:
                about = json.loads(str(found["about"]))
                if about["run"] != self._run:
                    return None
                return about["round"], _of(found, "before/"), _of(found, "after/")
        except (ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise Damaged(f"{self.path} is damaged ({error}). {way_out(self.path)}") from None


def _of(found: Mapping[str, np.ndarray], prefix: str) -> Arrays:
    return {name.removeprefix(prefix): found[name] for name in found if name.startswith(prefix)}


def way_out(path: Path | None) -> str:
    """What a site does whose memory is lost, in words."""
    folder = "local_state" if path is None else path.parent
    return (
        "Restore it from the backup. Without one, in an encrypted run: move "
        f"{folder}/ away; the site then announces itself anew and misses a round, and all sites "
        "begin again with empty memories. In a run that is not encrypted: start a new run."
    )
