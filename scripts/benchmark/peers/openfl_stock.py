"""Stock OpenFL 1.9, enrolled as its manual says: its own authority, every step by `fx`."""

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from scripts.local import fx
from scripts.local.finished_run import workspace_of

ADDRESS = "localhost"


def enrol_stock(run: Path, data: Mapping[str, Path], modules: Iterable[Path]) -> dict[str, Path]:
    """Enrol all sites; return their workspaces by name, as `scripts.local.enrol.enrol` does.

    run: the folder of the run, with the workspace in run/aggregator.
    data: each site's data folder, by the site's name.
    modules: files that the plan names and that must lie in each workspace's root.
    """
    aggregator = workspace_of(run, "aggregator")
    modules = list(modules)
    lay(modules, aggregator)
    fx.run(aggregator, "workspace", "certify")
    fx.run(aggregator, "aggregator", "generate-cert-request", "--fqdn", ADDRESS)
    fx.run(aggregator, "aggregator", "certify", "--fqdn", ADDRESS, "--silent")
    fx.run(aggregator, "plan", "initialize")
    fx.run(aggregator, "workspace", "export")
    workspaces = {}
    for site, folder in data.items():
        workspace = workspaces[site] = workspace_of(run, site)
        workspace.parent.mkdir()
        archive = aggregator / f"{aggregator.name}.zip"
        fx.run(workspace.parent, "workspace", "import", "--archive", str(archive.resolve()))
        lay(modules, workspace)
        (workspace / "data").mkdir(exist_ok=True)
        (workspace / "data" / site).symlink_to(folder.resolve())
        fx.run(workspace, "collaborator", "create", "-n", site, "-d", f"data/{site}", "--silent")
        fx.run(workspace, "collaborator", "generate-cert-request", "-n", site, "--silent")
        package = workspace / f"col_{site}_to_agg_cert_request.zip"
        signed = sign(aggregator, package, site)
        shutil.copy2(signed, workspace)
        fx.run(workspace, "collaborator", "certify", "--import", signed.name)
    return workspaces


def sign(aggregator: Path, package: Path, site: str) -> Path:
    """Sign a site's request as the aggregator's operator would; return the signed package."""
    shutil.copy2(package, aggregator)
    fx.run(aggregator, "collaborator", "certify", "--request-pkg", package.name, "--silent")
    return aggregator / f"agg_to_col_{site}_signed_cert.zip"


def lay(modules: Iterable[Path], workspace: Path) -> None:
    """Copy the benchmark's modules into a workspace's root, where the plan finds them."""
    for module in modules:
        shutil.copy2(module, workspace)
