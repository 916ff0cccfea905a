"""One validation of the model that a site has loaded: scores for others, pictures for itself."""

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

from src.files import write_atomically

logger = logging.getLogger(__name__)


class Tasks(Protocol):
    """What is needed of the tasks; `src.rounds.tasks` has it."""

    data_loader: Any
    model: Any
    inferer: Any
    metrics: Any
    compute: Any
    progress: Any
    evaluation: Path


class Validation:
    """One validation of the loaded model: on the site's own cases, and on any others."""

    def __init__(
        self, tasks: Tasks, task: str, round_number: int, folder: Path | None = None
    ) -> None:
        """folder: for what the site keeps of a final model; None: `evaluation`."""
        self._tasks = tasks
        self._task = task
        self._final = task.startswith("evaluate")
        self._folder = folder or tasks.evaluation
        self.round_number = round_number
        self.scores: list[dict] = []  # of the site's own cases, once they were scored

    def own(self) -> list[dict]:
        """Scores of the site's own validation cases; the site's log and folder keep them."""
        tasks = self._tasks
        cases = tasks.data_loader
        report = tasks.progress.task(self._task, self.round_number, cases.get_valid_data_size())
        scores, pictures = [], []
        for done, item in enumerate(self._scored(cases.validation_cases()), start=1):
            scores.append(item[0])
            if self._final:
                pictures.append(item)
            report(done)
        if scores:
            dice = self.summary(scores)["dice"]
            tasks.progress.result(self._task, self.round_number, {"dice": dice})
            logger.info("Round %d: %s, Dice %.3f.", self.round_number, self._task, dice["mean"])
        if pictures:
            self._keep(scores, pictures)
        self.scores = scores
        return scores

    def of(self, cases: Iterable[Any]) -> list[dict]:
        """Scores of other cases."""
        return [score for score, *_ in self._scored(cases)]

    def summary(self, scores: list[dict]) -> dict[str, Any]:
        """Means over cases, numbers only."""
        return self._tasks.metrics.summary(scores)

    def _scored(self, cases: Iterable[Any]) -> Iterator[tuple]:
        """(score, case, prediction) of each."""
        tasks = self._tasks
        for case in cases:
            with tasks.compute.autocast():
                prediction = tasks.inferer.predict(tasks.model, case.images)
            score = tasks.metrics.score(case, prediction, distances=self._final)
            yield score, case, prediction

    def _keep(self, scores: list[dict], scored: list[tuple]) -> None:
        """Cases and pictures of a final model, in the site's own folder."""
        metrics = self._tasks.metrics
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)  # pictures of patients
        write_atomically(self._folder / "cases.json", metrics.table(scores))
        write_atomically(self._folder / "slices.npz", metrics.pictures(scored))
