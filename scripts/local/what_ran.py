"""What ran: plan, data, versions, machine and spent privacy, as the report of a run has them."""

import hashlib
import os
import platform
import shlex
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from scripts.local import finished_run
from src.data.layouts import read_dataset_yaml
from src.differential_privacy.guarantee import guarantees
from src.differential_privacy.ledger_file import ledger_files
from src.plan.declared import declared
from src.plan.parts import Declares
from src.plan.view import Plan
from src.secure_aggregation.chosen import encryption_of

VERSIONS = ("openfl", "torch", "monai", "numpy", "nibabel", "grpcio")


def record(run: Path, plan_path: Path, plan: dict[str, Any], folders: dict[str, Path]) -> dict:
    """Plan, data, versions and machine of a run that begins now."""
    datasets = [read_dataset_yaml(folder) for folder in folders.values()]
    as_run = (finished_run.plan_of(run)).read_bytes()
    return {
        "name": run.name,
        "plan": plan_path.name,
        "plan_sha256": hashlib.sha256(as_run).hexdigest(),
        "encryption": _encryption(plan),
        "privacy": _guarantees(plan),
        **_validation(plan),
        "seed": Plan(plan).seed,
        "synthetic": any(dataset.synthetic for dataset in datasets),
        "kind": ", ".join(sorted({dataset.kind for dataset in datasets})),
        "rounds_planned": Plan(yaml.safe_load(as_run)).rounds,
        "versions": {"python": platform.python_version()} | {p: version(p) for p in VERSIONS},
        "command": "python -m scripts " + shlex.join(sys.argv[1:]),
        "machine": f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores",
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _encryption(plan: dict[str, Any]) -> dict[str, Any] | None:
    """How updates were encrypted, without the sites' caps; None: they were not."""
    encryption = encryption_of(plan["compression_pipeline"])
    return encryption and {k: v for k, v in vars(encryption).items() if k != "cases"}


def _guarantees(plan: dict[str, Any]) -> list[str]:
    """What a private plan guarantees, in words; none: it is not private."""
    asked = Plan(plan)
    return [guarantee.part.describe(asked.rounds) for guarantee in guarantees(asked)]


def _validation(plan: dict[str, Any]) -> dict[str, Any]:
    """On whose cases the Dice of the report was measured."""
    part = Plan(plan).runner.get("reported_metrics")
    says = declared(part) if part else Declares(validated_on="each site's own validation cases")
    return {"validated_on": says.validated_on, "same_everywhere": bool(says.same_everywhere)}


def spent(ledgers: Path) -> list[dict[str, Any]]:
    """By site and data set, what its ledger has booked."""
    if not ledgers.is_dir():
        return []
    return [
        {
            "site": ledger_file.site,
            "what": line["what"],
            "unit": line["unit"],
            "bookings": len(ledger_file.bookings),
            "epsilon": line["epsilon"],
            "delta": line["delta"],
        }
        for ledger_file in ledger_files(ledgers)
        for line in ledger_file.bookings[-1:]
    ]
