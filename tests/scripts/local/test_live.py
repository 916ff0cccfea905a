"""Live progress: what a growing file tells, and how it is said where there is no terminal."""

import io
import json

from rich.console import Console

from scripts.local.live import FederationView, Tail, _bar


def test_only_whole_new_lines_are_read(tmp_path):
    path = tmp_path / "progress.jsonl"
    tail = Tail(path)
    assert tail.read() == []  # not there yet
    path.write_text('{"a": 1}\n{"b":')
    assert tail.read() == [{"a": 1}]
    with path.open("a") as file:
        file.write(' "ä"}\n{"c": 3}\n')
    assert tail.read() == [{"b": "ä"}, {"c": 3}]
    assert tail.read() == []


def write(folder, **line) -> None:
    (folder / "logs").mkdir(parents=True, exist_ok=True)
    with (folder / "logs" / "progress.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")


def shown(tmp_path, terminal: bool) -> str:
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=100, highlight=False)
    with FederationView({"one": tmp_path / "one", "two": tmp_path / "two"}, 3, console) as view:
        write(tmp_path / "one", task="validate", round=0, done=0, total=4)
        dice = {"WT": 0.5, "TC": 0.25, "ET": 0.125, "mean": 0.29}
        write(tmp_path / "one", task="validate", round=0, result={"dice": dice})
        write(tmp_path / "one", task="train", round=0, done=5, total=10)
        write(tmp_path / "two", task="train", round=3, result={"loss": 0.75})
        view.update()
    return out.getvalue()


def test_without_a_terminal_each_result_is_a_line(tmp_path):
    lines = shown(tmp_path, terminal=False).splitlines()
    assert len(lines) == 2
    first = "round 1/3 one validating Dice WT 0.500 TC 0.250 ET 0.125 mean 0.290"
    assert " ".join(lines[0].split()) == first
    assert " ".join(lines[1].split()) == "last check two training loss 0.750"


def test_on_a_terminal_a_table_shows_what_every_site_does(tmp_path):
    table = shown(tmp_path, terminal=True)
    assert "round 1/3" in table
    assert "training" in table
    assert _bar(5, 10) in table


def test_the_bar_is_empty_full_or_between():
    assert set(_bar(0, 7)) == {"╌"}
    assert set(_bar(7, 7)) == {"━"}
    assert _bar(1, 2).count("━") == 8
    assert set(_bar(0, 0)) == {"╌"}
