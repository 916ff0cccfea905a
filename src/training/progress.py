"""A site's progress as JSON lines, which a person or `scripts simulate` can follow while it runs.

The lines hold numbers only, no case id and no file name.
"""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

EVERY_S = 0.5


class Progress:
    """The progress file; its folder is made with the first line."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def task(self, task: str, round_number: int, total: int) -> Callable[[int], None]:
        """Note that a task begins; call the result with the number of steps done, of `total`."""
        self._write(task=task, round=round_number, done=0, total=total)
        last = time.monotonic()

        def report(done: int) -> None:
            nonlocal last
            if done == total or time.monotonic() - last > EVERY_S:
                last = time.monotonic()
                self._write(task=task, round=round_number, done=done, total=total)

        return report

    def result(self, task: str, round_number: int, values: dict[str, Any]) -> None:
        """Note the numbers with which a task has ended."""
        self._write(task=task, round=round_number, result=values)

    def _write(self, **line: Any) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
