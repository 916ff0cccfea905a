"""A site's duties: what its own approved plan has it do in a round, each task once.

From the aggregator a site takes the round's number, and whether the run goes on. Which tasks that
means, and in which order, is the plan's; the aggregator may leave out what it has an answer to.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from src.errors import Refused
from src.rounds.schedule import Schedule

KEPT_ROUNDS = 2  # whose answers can be given again: the open one, and the one before it
IN_MEMORY_BYTES = 2**16  # of an answer; a plain model waits in a file without a name


class Duties:
    """schedule: of the site's own plan. folder: for answers that may be asked for again."""

    def __init__(self, schedule: Schedule, folder: Path) -> None:
        self.schedule = schedule
        self._folder = folder
        self._answers: dict[tuple[int, str], IO[bytes] | None] = {}

    def asked(self, round_number: int, tasks: Sequence[str], *, over: bool) -> list[str]:
        """What is to be done now. Refused: it is not what the plan has this site do in that round.

        over: the run has ended, and nothing is.
        """
        if over:
            return []
        last = self.schedule.rounds
        if not 0 <= round_number <= last:
            raise Refused(
                f"the aggregator names round {round_number}; this site's plan has rounds 0 to "
                f"{last}. Nothing was sent for it. Ask its operator."
            )
        own = self.schedule.tasks(round_number)
        if list(tasks) != [task for task in own if task in tasks]:
            raise Refused(
                f"the aggregator asks for {', '.join(tasks)[:200]} in round {round_number}; this "
                f"site's approved plan says {', '.join(own)}, each once and in this order. Nothing "
                "was sent for it. Compare the plans with the aggregator's operator."
            )
        return list(tasks)

    def answered(self, round_number: int, task: str) -> bytes | None:
        """What this process has answered already, to be sent again; None: nothing yet.

        Refused: that was too many rounds ago.
        """
        if (round_number, task) not in self._answers:
            return None
        answer = self._answers[round_number, task]
        if answer is None:
            raise Refused(
                f"{task!r} of round {round_number} was answered, and the run has gone on since. "
                "The aggregator was restored from an old copy: a new run has to be started."
            )
        answer.seek(0)
        return answer.read()

    def close(self) -> None:
        """Forget all answers: the process ends."""
        for answer in self._answers.values():
            if answer is not None:
                answer.close()

    def remember(self, round_number: int, task: str, message: bytes) -> None:
        """The answer to a task, before its first byte leaves."""
        answer = tempfile.SpooledTemporaryFile(IN_MEMORY_BYTES, dir=str(self._folder))  # noqa: SIM115
        answer.write(message)
        self._answers[round_number, task] = answer
        for (number, name), older in self._answers.items():
            if older is not None and number <= round_number - KEPT_ROUNDS:
                older.close()
                self._answers[number, name] = None
