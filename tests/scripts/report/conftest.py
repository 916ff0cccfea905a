"""A finished run on disk, written by hand: two sites, two training rounds, then the evaluation."""

import json
from pathlib import Path

import numpy as np
import pytest

PLANNED = 2
WT = {"one": (0.10, 0.50, 0.80), "two": (0.05, 0.40, 0.60)}  # after 0, 1, 2 rounds


def dice_metrics(wt: float) -> dict[str, float]:
    return {"dice_WT": wt, "dice_TC": wt / 2, "dice_ET": wt / 4, "dice": wt / 2}


def round_line(number: int) -> dict:
    sites = {}
    for name, wt in WT.items():
        metrics = {
            "aggregated_model_validation": dice_metrics(wt[number]),
            "train": {"loss": 1.0 - 0.2 * number},
        }
        sites[name] = {"train_cases": 6, "validation_cases": 2, "metrics": metrics}
    return {"round": number, "seconds": 1.5, "bytes_up": 100, "bytes_down": 200, "sites": sites}


def final_line() -> dict:
    sites = {}
    for name, wt in WT.items():
        metrics = dice_metrics(wt[PLANNED]) | {"cases": 2.0, "hd95_mm": 4.0}
        metrics |= {f"hd95_mm_{region}": 4.0 for region in ("WT", "TC", "ET")}
        metrics |= {"empty_WT": 0.0, "empty_TC": 0.0, "empty_ET": 1.0}
        sites[name] = {"validation_cases": 2, "metrics": {"final_validation": metrics}}
    return {"round": PLANNED, "seconds": 0.5, "bytes_up": 1, "bytes_down": 2, "sites": sites}


def write_rounds(run: Path, lines: list[dict]) -> None:
    path = run / "aggregator/workspace" / "logs" / "rounds.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def write_slices(path: Path) -> None:
    path.parent.mkdir(parents=True)
    regions = np.zeros((3, 20, 24), np.uint8)
    regions[:, 5:12, 6:14] = 1
    np.savez(
        path,
        images_0=np.random.default_rng(0).normal(size=(4, 20, 24)).astype(np.float32),
        reference_0=regions,
        prediction_0=regions,
        case_id_0=np.array("case"),
        dice_0=np.ones(3),
        spacing_0=np.array([2.0, 1.0]),
    )


@pytest.fixture
def finished_run(tmp_path) -> Path:
    run = tmp_path / "demo"
    write_rounds(run, [round_line(0), round_line(1), final_line()])
    about = {
        "name": "demo",
        "plan": "plan.yaml",
        "plan_sha256": "ab" * 32,
        "encryption": None,
        "seed": 7,
        "synthetic": True,
        "kind": "phantom",
        "rounds_planned": PLANNED,
        "versions": {"python": "3.11", "openfl": "1.9"},
        "command": "python -m scripts simulate",
        "machine": "x86_64, 2 cores",
        "started": "2026-01-02T03:04:05+00:00",
        "seconds_total": 12.3,
    }
    (run / "run.json").write_text(json.dumps(about))
    write_slices(run / "one" / "workspace" / "evaluation" / "slices.npz")
    return run
