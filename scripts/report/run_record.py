"""What a run has left on disk, read into one plain record: the content of `report.json`."""

import json
from pathlib import Path
from typing import Any

from scripts.local.finished_run import workspace_of
from scripts.partition.made import NUMBERS
from scripts.partition.site_names import in_order
from src.errors import InputError

REGIONS_AND_MEAN = ("WT", "TC", "ET", "mean")
EVERY_SITE = "every site"
VALIDATION, TRAINING, FINAL = "aggregated_model_validation", "train", "final_validation"


def read_run(run: Path) -> dict[str, Any]:
    """The record of a run that has ended, well or early.

    plan, synthetic, seed, versions: of the run.
    sites: [{name, train_cases, validation_cases}].
    rounds: from 1, [{round, seconds, bytes_up, bytes_down, sites: {name: {loss, dice}}}]. `dice` is
        of the model AFTER that round, None where it was not measured; `void`, if there, says why an
        encrypted round came to nothing.
    initial: {name: {dice}} of the untrained model.
    final: {name: {cases, dice, hd95_mm, empty_reference}}.
    partition: {partition, seed, sites, distances} of the site folders, None where nobody wrote it.
    run: everything else.
    InputError: files are missing or damaged; the message names them.
    """
    about = _json(run / "run.json")
    lines = _rounds(workspace_of(run, "aggregator") / "logs" / "rounds.jsonl")
    names = in_order({name for line in lines for name in line["sites"]})
    planned = about["rounds_planned"]
    trained = [line for line in lines if line["round"] < planned]
    dice_of = {line["round"]: _dice_by_site(line) for line in lines}
    return {
        "plan": about["plan"],
        "synthetic": about["synthetic"],
        "seed": about["seed"],
        "versions": about["versions"],
        "sites": [_site(name, lines) for name in names],
        "rounds": [_round(line, dice_of.get(line["round"] + 1, {})) for line in trained],
        "initial": {name: {"dice": dice} for name, dice in dice_of.get(0, {}).items()},
        "final": _final(lines),
        "partition": _json(run / NUMBERS) if (run / NUMBERS).is_file() else None,
        "run": about | {"ended": [line["round"] for line in lines] == [*range(planned + 1)]},
    }


def _json(path: Path) -> dict[str, Any]:
    """The content of a JSON file. ValueError: it is missing or damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: expected a run's record, {error}. Is this a run?") from error


def _rounds(path: Path) -> list[dict[str, Any]]:
    """The lines in the order of rounds; a round that was repeated after a restart counts once."""
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        by_round = {line["round"]: line for line in lines}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path}: expected one JSON line a round, {error!r}. The aggregator writes it; without "
            "it there is nothing to report."
        ) from error
    return [by_round[number] for number in sorted(by_round)]


def told_once(record: dict[str, Any]) -> dict[str, Any]:
    """The record with one entry in place of the sites, if all have scored the same cases.

    (One model on public cases: the sites' numbers are copies.) Other records are returned as they
    are.
    """
    if not record["run"].get("same_everywhere") or not record["sites"]:
        return record

    def one(sites: dict[str, Any]) -> dict[str, Any]:
        return {EVERY_SITE: next(iter(sites.values()))} if sites else {}

    cases = {"train_cases": None, "validation_cases": None}
    return record | {
        "sites": [{"name": EVERY_SITE} | cases],
        "rounds": [entry | {"sites": one(entry["sites"])} for entry in record["rounds"]],
        "initial": one(record["initial"]),
        "final": one(record["final"]),
    }


def _metrics(line: dict[str, Any], name: str, task: str) -> dict[str, float]:
    """The metrics that a site reported for a task in a line."""
    return line["sites"].get(name, {}).get("metrics", {}).get(task, {})


def _by_region(metrics: dict[str, float], metric: str) -> dict[str, float]:
    """{"WT": …, "mean": …} from {"dice_WT": …, "dice": …}."""
    keys = {region: f"{metric}_{region}" for region in REGIONS_AND_MEAN[:3]} | {"mean": metric}
    return {region: metrics[key] for region, key in keys.items() if key in metrics}


def _dice_by_site(line: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Dice of the model from which the line's round started, by site."""
    found = {}
    for name in line["sites"]:
        metrics = _metrics(line, name, VALIDATION) or _metrics(line, name, FINAL)
        if metrics:
            found[name] = _by_region(metrics, "dice")
    return found


def _site(name: str, lines: list[dict[str, Any]]) -> dict[str, Any]:
    """A site's name and its numbers of cases, as the first line that has them says."""
    told = [line["sites"][name] for line in lines if name in line["sites"]]
    return {"name": name} | {
        key: next((site[key] for site in told if key in site), None)
        for key in ("train_cases", "validation_cases")
    }


def _round(line: dict[str, Any], dice_after: dict[str, dict[str, float]]) -> dict[str, Any]:
    """One round of the record."""
    return {
        "round": line["round"] + 1,
        "seconds": line["seconds"],
        "bytes_up": line["bytes_up"],
        "bytes_down": line["bytes_down"],
        "sites": {
            name: {
                "loss": _metrics(line, name, TRAINING).get("loss"),
                "dice": dice_after.get(name),
            }
            for name in line["sites"]
        },
    } | ({"void": line["void"]} if "void" in line else {})


def _final(lines: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The scores of the final model, by site."""
    final = {}
    for name in lines[-1]["sites"] if lines else ():
        metrics = _metrics(lines[-1], name, FINAL)
        if "hd95_mm" in metrics:  # a private plan may tell less, or nothing
            final[name] = {
                "cases": int(metrics["cases"]),
                "dice": _by_region(metrics, "dice"),
                "hd95_mm": _by_region(metrics, "hd95_mm"),
                "empty_reference": {
                    region: int(metrics[f"empty_{region}"]) for region in REGIONS_AND_MEAN[:3]
                },
            }
    return final
