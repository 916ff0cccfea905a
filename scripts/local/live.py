"""Live progress of a federation: one line a site, what it does and how well its model does."""

import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table

BAR = 16
DOING = {
    "train": "training",
    "validate": "validating",
    "validate_local": "validating",
    "evaluate": "final test",
    "tune": "tuning",
    "evaluate_personal": "own model",
}


class Tail:
    """The new JSON lines of a growing file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.position = 0

    def read(self) -> list[dict[str, Any]]:
        """Whole lines since the last call; none if there is no file yet."""
        if not self.path.is_file():
            return []
        with self.path.open(encoding="utf-8") as file:
            file.seek(self.position)
            text = file.read()
        whole, _, _ = text.rpartition("\n")
        self.position += len(whole.encode()) + bool(whole)
        return [json.loads(line) for line in whole.splitlines()]


class FederationView:
    """Follows the progress files of the sites; a live table on a terminal, else plain lines."""

    def __init__(self, sites: dict[str, Path], rounds: int, console: Console) -> None:
        self.rounds = rounds
        self.console = console
        self._tails = {name: Tail(path / "logs" / "progress.jsonl") for name, path in sites.items()}
        self._rows: dict[str, dict[str, Any]] = {name: {} for name in sites}
        self._live = Live(console=console, refresh_per_second=4, transient=False)

    def __enter__(self) -> "FederationView":
        if self.console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_) -> None:
        if self.console.is_terminal:
            self._live.stop()

    def update(self) -> None:
        """Read what is new and show it."""
        for name, tail in self._tails.items():
            for line in tail.read():
                self._take(name, line)
        if self.console.is_terminal:
            self._live.update(self._table())

    def _take(self, name: str, line: dict[str, Any]) -> None:
        row = self._rows[name]
        result = line.get("result", {})
        row.update(line, **result)
        if self.console.is_terminal or not result:
            return
        numbers = f"loss {result['loss']:.3f}" if "loss" in result else ""
        if "dice" in result:
            numbers = "Dice " + "  ".join(f"{r} {v:.3f}" for r, v in result["dice"].items())
        place = f"{self._round(line['round']):<12} {name:<9} {DOING[line['task']]:<11}"
        self.console.print(f"  {place} {numbers}", soft_wrap=True)

    def _round(self, number: int) -> str:
        return f"round {number + 1}/{self.rounds}" if number < self.rounds else "last check"

    def _table(self) -> Table:
        table = Table(box=None, pad_edge=False)
        for title in ("site", "round", "", "", "loss", "WT", "TC", "ET"):
            table.add_column(
                title, justify="right" if title in ("loss", "WT", "TC", "ET") else "left"
            )
        for name, row in self._rows.items():
            dice = row.get("dice", {})
            table.add_row(
                name,
                self._round(row["round"]) if "round" in row else "starting",
                DOING.get(row.get("task", ""), ""),
                _bar(row.get("done", 0), row.get("total", 0)),
                _number(row.get("loss")),
                *(_number(dice.get(region)) for region in ("WT", "TC", "ET")),
            )
        return table


def _bar(done: int, total: int) -> str:
    filled = BAR * done // total if total else 0
    return "━" * filled + "╌" * (BAR - filled)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
