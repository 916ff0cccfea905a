"""Progress lines: first, last, and not too many between."""

import json

from src.training import progress as module
from src.training.progress import Progress


def lines(path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_task_tells_its_beginning_and_its_end(tmp_path):
    progress = Progress(tmp_path / "logs" / "progress.jsonl")
    report = progress.task("train", 2, 100)
    for done in range(1, 101):
        report(done)
    told = lines(progress.path)
    assert told[0] == {"task": "train", "round": 2, "done": 0, "total": 100}
    assert told[-1]["done"] == 100
    assert len(told) < 20  # a quick task is not told step by step


def test_a_slow_task_is_told_as_it_goes(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "EVERY_S", 0.0)
    progress = Progress(tmp_path / "progress.jsonl")
    report = progress.task("validate", 0, 3)
    for done in range(1, 4):
        report(done)
    assert [line["done"] for line in lines(progress.path)] == [0, 1, 2, 3]


def test_a_result_carries_its_numbers(tmp_path):
    progress = Progress(tmp_path / "progress.jsonl")
    progress.result("train", 1, {"loss": 0.5})
    assert lines(progress.path) == [{"task": "train", "round": 1, "result": {"loss": 0.5}}]
