"""A run of `simulate` on this machine: where its plan and models lie, and its sites' data."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from src.errors import InputError

if TYPE_CHECKING:
    from src.engines.openfl.data_loader import SiteData


def workspace_of(run: Path, party: str) -> Path:
    """The workspace of a site, or of the aggregator: each party has a folder of its own."""
    return run / party / "workspace"


def plan_of(run: Path) -> Path:
    """The plan that ran."""
    return workspace_of(run, "aggregator") / "plan" / "plan.yaml"


def final_model(run: Path) -> Path:
    """After the last round; encrypted if the plan says so."""
    return workspace_of(run, "aggregator") / "save" / "final.pbuf"


def initial_model(run: Path) -> Path:
    """Before the first round, in the clear."""
    return workspace_of(run, "aggregator") / "save" / "init.pbuf"


def any_site(run: Path) -> Path | None:
    """A site's workspace that opens the run's encrypted models, as all sites' do."""
    found = sorted(run.glob("*/*/cert/keys/*.cms"))
    return found[0].parents[2] if found else None


def data_folders(run: Path) -> dict[str, Path]:
    """Each site's data folder. InputError: not a run."""
    from scripts.partition.site_names import in_order

    found = {link.name: link for link in run.glob("*/workspace/data/*")}
    if not found:
        raise InputError(f"{run} holds no site's workspace: is it a run of `simulate`?")
    return {site: found[site] for site in in_order(found)}


def site_data(run: Path, plan: dict[str, Any]) -> "dict[str, SiteData]":
    """Each site's cases, split by the site's own loader."""
    from src.plan import plan as plans

    return {
        site: plans.build(plan["data_loader"], data_path=str(folder))
        for site, folder in data_folders(run).items()
    }
