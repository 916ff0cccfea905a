"""The files of an aggregator in an encrypted run, by which a power cut costs nothing.

    round-R.json       which rounds came before, and the rosters since the last sum
    model-R.sealed     what sites get as the model of round R
    uploads-R/SITE     a site's answer to round R, as it came
    uploads--1/SITE    a site's announcement for the first round
    updates.jsonl      the digests of all updates that have come in the run

A round has ended once the next one's two files are there; the older files are removed after that.
"""

import json
import shutil
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from src.files import read_own_json, write_atomically
from src.secure_aggregation import framing
from src.secure_aggregation.protocol import UPDATE

BEFORE_THE_FIRST = -1


@dataclass
class RoundRecord:
    """What is known of the run when a round opens.

    round: the open one.
    rosters: signed announcements by round, from the round of the last sum on.
    sum: the round of that sum; None before the first.
    voids: the rounds that came to nothing.
    changes: the rounds whose roster is another than the round's before.
    nonces: of the sum's uploads, by site.
    """

    round: int = 0
    rosters: dict[str, list[str]] = field(default_factory=dict)
    sum: int | None = None
    voids: list[int] = field(default_factory=list)
    changes: list[int] = field(default_factory=list)
    nonces: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Answers:
    """What sites have sent in a round.

    updates: the files with updates, by site.
    headers: of every answer, by site.
    """

    updates: dict[str, Path]
    headers: dict[str, dict[str, Any]]

    @property
    def announced(self) -> dict[str, str]:
        """The signed announcements for the next round, by site."""
        return {
            site: header["announcement"]
            for site, header in self.headers.items()
            if header["announcement"]
        }

    @property
    def nonces(self) -> dict[str, str]:
        """The nonces of the updates, by site."""
        return {site: self.headers[site]["nonce"] for site in self.updates}

    @property
    def left(self) -> dict[str, str]:
        """Why the others have not announced, by site."""
        return {
            site: header["left"]
            for site, header in self.headers.items()
            if not header["announcement"]
        }


class RoundFiles:
    """The files of all rounds that are still needed.

    folder: below the aggregator's local_state.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def record(self, number: int) -> Path:
        """Where a round's record lies, or would."""
        return self.folder / f"round-{number}.json"

    def model(self, number: int) -> Path:
        """Where a round's model lies, or would."""
        return self.folder / f"model-{number}.sealed"

    @property
    def taken(self) -> Path:
        """Where the digests of all updates lie."""
        return self.folder / "updates.jsonl"

    def answer(self, number: int, site: str) -> Path:
        """Where a site's answer to a round lies, or would."""
        return self._answers(number) / site

    def _answers(self, number: int) -> Path:
        return self.folder / f"uploads-{number}"

    def read(self, number: int) -> RoundRecord:
        """The record of a round that was written."""
        return RoundRecord(**read_own_json(self.record(number)))

    def write(self, record: RoundRecord, model: bytes) -> None:
        """Write model and record of a round that is about to open; once the record is there, it
        counts.
        """
        write_atomically(self.model(record.round), model)
        write_atomically(self.record(record.round), json.dumps(asdict(record)))

    def answers(self, number: int, sites: Iterable[str]) -> Answers:
        """What these sites have sent in a round."""
        found = Answers({}, {})
        for site in sites:
            path = self.answer(number, site)
            if path.is_file():
                header = found.headers[site] = framing.header_of(path)
                if header["kind"] == UPDATE:
                    found.updates[site] = path
        return found

    def forget(self, number: int) -> None:
        """Remove a round that has ended."""
        shutil.rmtree(self._answers(number), ignore_errors=True)
        for path in (self.record(number), self.model(number)):
            path.unlink(missing_ok=True)

    def clear(self) -> None:
        """Remove everything: another run begins here."""
        shutil.rmtree(self.folder, ignore_errors=True)
