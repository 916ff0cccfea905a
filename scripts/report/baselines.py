"""What `baseline` has measured of a run, beside the federated model: what a site gains."""

import json
from pathlib import Path
from typing import Any

from scripts.partition.site_names import in_order
from src.errors import InputError

FILE = "baselines.json"
COLUMNS = ("alone", "ensemble", "pooled")  # in the order in which they know more


def read_baselines(run: Path) -> dict[str, Any]:
    """{"alone" | "ensemble" | "pooled": {site: scores}, …}; empty if none was run."""
    path = run / "report" / FILE
    if not path.is_file():
        return {}
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except ValueError as error:
        raise InputError(f"{path}: {error}. Delete it, and run the baselines again.") from None


def gains(final: dict[str, Any], found: dict[str, Any]) -> list[dict[str, Any]]:
    """A row for each site of the final model: {site, federated, alone, …}, mean Dice each.

    A baseline that was not run is not in the rows; none of them run: no rows.
    """
    columns = [name for name in COLUMNS if name in found]
    if not columns:
        return []
    return [
        {"site": site, "federated": final[site]["dice"]["mean"]}
        | {name: found[name][site]["dice"]["mean"] for name in columns if site in found[name]}
        for site in in_order(final)
    ]
