"""Enrolment on one machine: certificates and workspaces for every party, by `fx` commands alone.

Each party ends with its own folder, its own key and certificate and its own copy of plan and code,
as it would on its own machine; what passes between them are the files that `fx` makes for that.
"""

import shutil
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from scripts import fx

ADDRESS = "localhost"
PARTY_AT_ONCE = 2  # an `fx` call is two seconds of imports: one per core of a small machine


def enrol(
    run: Path, data: Mapping[str, Path], said: Callable[[str], None] = lambda text: None
) -> dict[str, Path]:
    """The sites' workspaces by name, made from the one in run/aggregator.

    data: each site's data folder. said: hears what is going on.
    """
    aggregator = run / "aggregator"
    said("certificate authority, aggregator's certificate, initial model")
    fx.run(aggregator, "workspace", "certify")
    with ThreadPoolExecutor(PARTY_AT_ONCE) as pool:
        certified = pool.submit(_certify_aggregator, aggregator)
        fx.run(aggregator, "plan", "initialize", "-a", ADDRESS)
        certified.result()
    said("workspace for the sites")
    fx.run(aggregator, "workspace", "export")
    archive = aggregator / f"{aggregator.name}.zip"
    with ThreadPoolExecutor(PARTY_AT_ONCE) as pool:
        said("certificate requests of the sites")
        jobs = {
            site: pool.submit(_request, run / site, site, archive, folder)
            for site, folder in data.items()
        }
        workspaces = {site: job.result() for site, job in jobs.items()}
        said("certificates for the sites")
        for site, workspace in workspaces.items():  # one by one: each adds a line to cols.yaml
            _certify_site(aggregator, workspace, site)
        for job in [pool.submit(_take, site, path) for site, path in workspaces.items()]:
            job.result()
    return workspaces


def _certify_aggregator(aggregator: Path) -> None:
    fx.run(aggregator, "aggregator", "generate-cert-request", "--fqdn", ADDRESS)
    fx.run(aggregator, "aggregator", "certify", "--fqdn", ADDRESS, "--silent")


def _request(folder: Path, site: str, archive: Path, data: Path) -> Path:
    """The site takes the workspace, names its data and asks for a certificate."""
    folder.mkdir()
    fx.run(folder, "workspace", "import", "--archive", str(archive.resolve()))
    workspace = folder / archive.stem
    (workspace / "data").mkdir(exist_ok=True)
    (workspace / "data" / site).symlink_to(data.resolve())  # `fx` refuses paths outside
    fx.run(workspace, "collaborator", "create", "-n", site, "-d", f"data/{site}", "--silent")
    fx.run(workspace, "collaborator", "generate-cert-request", "-n", site, "--silent")
    return workspace


def _certify_site(aggregator: Path, workspace: Path, site: str) -> None:
    request = f"col_{site}_to_agg_cert_request.zip"
    shutil.copy2(workspace / request, aggregator / request)
    fx.run(aggregator, "collaborator", "certify", "--request-pkg", request, "--silent")
    signed = f"agg_to_col_{site}_signed_cert.zip"
    shutil.move(aggregator / signed, workspace / signed)
    # `fx` signs the first *.csr that it finds, so none may be left for the next site
    for leftover in (aggregator / "cert" / "client").glob("*.csr"):
        leftover.unlink()
    (aggregator / request).unlink()


def _take(site: str, workspace: Path) -> None:
    fx.run(workspace, "collaborator", "certify", "--import", f"agg_to_col_{site}_signed_cert.zip")
