"""The verb: its rows, its JSON, and what becomes of a contender that fails."""

import json
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from scripts.benchmark.overhead_study import OURS, attempt, contenders, result, table
from src.errors import InputError

ROOT = Path(__file__).resolve().parents[3]

# All sites in one process. `stop` sites are left out, to show that the error is seen.
ALONE = """
import sys
import numpy as np
from scripts.benchmark.meter import workload
rounds, stop, out = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
model = workload.initial()
for number in range(rounds):
    models = [workload.trained(model, site, number) for site in range(workload.SITES - stop)]
    model = np.average(models, axis=0, weights=workload.WEIGHTS[: len(models)])
np.save(out, model)
"""


@dataclass(frozen=True)
class Alone:
    """A contender without a network."""

    name: str = "alone"
    server: str = "python"
    endpoint: str = ":1$"
    stop: int = 0
    rounds_missed: int = 0
    code: int = 0

    def prepare(self, folder: Path, rounds: int) -> list[str]:
        script = ALONE + f"sys.exit({self.code})"
        done = str(rounds - self.rounds_missed)
        return [sys.executable, "-c", script, done, str(self.stop), str(folder / "final.npy")]

    def environment(self, folder: Path) -> dict[str, str]:
        return os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}

    def final_model(self, folder: Path) -> np.ndarray:
        return np.load(folder / "final.npy")


def tried(contender: Alone) -> dict:
    return attempt(contender, 4, 30, False, Console(quiet=True))


def test_a_contender_that_finishes_has_a_row_with_its_error():
    row = tried(Alone())
    assert (row["name"], row["rounds"]) == ("alone", 4)
    assert row["largest_error"] < 1e-6
    assert row["s_per_round"] > 0


def test_a_mean_without_one_site_shows_in_the_error():
    assert tried(Alone(stop=1))["largest_error"] > 1e-3


@pytest.mark.parametrize(
    ("contender", "why"),
    [(Alone(code=3), "exit code 3"), (Alone(rounds_missed=1), "3 of 4 rounds")],
    ids=["exit-code", "round-missing"],
)
def test_a_contender_that_fails_is_a_row_with_the_reason_and_its_logs(contender, why):
    row = tried(contender)
    assert why in row["failed"]
    assert (Path(row["logs"]) / "measure.log").is_file()
    shutil.rmtree(row["logs"])


def test_a_failed_row_is_shown_and_has_no_ratio():
    rows = [{"name": OURS, "s_per_round": 0.5}, {"name": "other", "failed": "why", "logs": "/"}]
    assert table(rows).row_count == 2
    assert result(rows)["ratios"] == {}


def test_ratios_are_the_others_figure_over_ours():
    ours = {"name": OURS, "s_per_round": 0.5, "cpu_s_per_round": 0.4}
    other = {"name": "other", "s_per_round": 10.0, "cpu_s_per_round": 0.8}
    written = result([ours, other])
    assert set(written) == {"benchmark", "command", "machine", "rows", "ratios"}
    assert written["ratios"] == {"other: s_per_round": 20.0, "other: cpu_s_per_round": 2.0}
    json.dumps(written)


def test_contenders_are_chosen_by_name_and_an_unknown_one_is_refused():
    assert [c.name for c in contenders(False, ("stock",))] == ["OpenFL 1.9, stock"]
    assert {"Flower 1.41", "NVIDIA FLARE 2.9"} <= {c.name for c in contenders(True, ())}
    with pytest.raises(InputError, match="there are this kit"):
        contenders(False, ("nobody",))
