"""Enrolment on one machine: the whole ceremony, with `fx` requests and imports for every party.

Each party ends with its own folder, its own keys and certificates and its own copy of plan and
code, as on its own machine. What people compare by telephone is compared here by the program.
"""

import secrets
import shutil
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from certs.authority import Authority
from certs.ceremony import Ceremony
from scripts.local import finished_run, fx
from src.differential_privacy import journal, ledger
from src.files import write_secret
from src.trust import approval, encryption_key, fingerprint
from src.trust.certificate import AGGREGATOR, SITE, utc_now
from src.trust.gate import SiteGate
from src.trust.package import receive

ADDRESS = "localhost"
PARTY_AT_ONCE = 2  # an `fx` call is two seconds of imports: one per core of a small machine


def enrol(
    run: Path,
    data: Mapping[str, Path],
    said: Callable[[str], None] = lambda text: None,
    *,
    modules: Iterable[Path] = (),
    init: Path | None = None,
) -> dict[str, Path]:
    """The sites' workspaces by name, made from run/aggregator/workspace.

    data: each site's data folder. said: hears what is going on. modules: further Python files
    that the plan names; they lie in every workspace's root. init: a torch file with the initial
    weights; None: random ones, of the plan's seed. The desk's folder is run/desk.
    """
    modules = list(modules)
    aggregator = finished_run.workspace_of(run, "aggregator")
    for module in modules:
        shutil.copy2(module, aggregator)
    said("initial model, authority")
    with ThreadPoolExecutor(PARTY_AT_ONCE) as pool:
        weights = ("-i", str(init.resolve())) if init else ()
        ready = pool.submit(fx.run, aggregator, "plan", "initialize", *weights)
        desk = _desk(run / "desk", list(data))
        ready.result()
        fx.run(aggregator, "workspace", "export")
        archive = aggregator / f"{aggregator.name}.zip"
        said("certificate requests")
        ask = ("aggregator", "generate-cert-request", "--fqdn", ADDRESS)
        asked = pool.submit(fx.run, aggregator, *ask)
        jobs = {
            site: pool.submit(_request, run / site, site, archive, folder)
            for site, folder in data.items()
        }
        workspaces = {site: job.result() for site, job in jobs.items()}
        asked.result()
        said("certificates, member list")
        desk.issue(*_with_words(desk, aggregator / "cert" / "server" / f"agg_{ADDRESS}.csr"))
        for site, workspace in workspaces.items():
            desk.issue(*_with_words(desk, workspace / f"col_{site}_to_agg_cert_request.zip"))
        packages = run / "desk" / "packages"
        desk.delivery.write_packages(packages, workspace=aggregator)
        receive(packages / f"desk_to_agg_{ADDRESS}.zip", aggregator, utc_now())
        for site, workspace in workspaces.items():
            receive(packages / f"agg_to_col_{site}_signed_cert.zip", workspace, utc_now())
    said("approval by every site")
    for site, workspace in workspaces.items():
        for module in modules:  # `fx workspace export` carries no code but src/
            shutil.copy2(module, workspace)
        approve(workspace, site)
    return workspaces


def approve(workspace: Path, site: str) -> None:
    """The site's signature under the bundle that lies in its workspace."""
    gate = SiteGate(str(workspace))
    member = gate.identify(site)
    approval.approve(workspace, gate.bundle, gate.members.run, member, gate.key, gate.now())
    gate.log("approved", site=site, bundle=gate.bundle.digest)


def begin_ledgers(workspaces: Mapping[str, Path]) -> None:
    """What each site's engineer does once, before the first private run: begin the ledgers.

    On one machine all sites' ledgers lie in one folder, which the first of them begins.
    """
    if journal.is_begun(ledger.folder()):
        return
    site, workspace = next(iter(workspaces.items()))
    gate = SiteGate(str(workspace))
    gate.identify(site)
    ledger.begin(ledger.folder(), site, gate, by="the program", why="a run on one machine")


def _desk(folder: Path, sites: list[str]) -> Ceremony:
    """An authority of its own for this run. Its passphrase lies beside it: this is one machine."""
    passphrase = secrets.token_urlsafe(24).encode()
    authority = Authority.create(folder, folder.parent.name, lambda: passphrase, utc_now)
    write_secret(folder / "passphrase", passphrase)
    desk = Ceremony(authority, utc_now)
    desk.enrol(ADDRESS, AGGREGATOR)
    for site in sites:
        desk.enrol(site, SITE)
    return desk


def _with_words(desk: Ceremony, request: Path) -> tuple[Path, str]:
    return request, fingerprint.words(desk.inspect(request).sha256)


def _request(folder: Path, site: str, archive: Path, data: Path) -> Path:
    """The site takes the workspace, names its data and asks for its certificates."""
    folder.mkdir()
    fx.run(folder, "workspace", "import", "--archive", str(archive.resolve()))
    workspace = folder / archive.stem
    (workspace / "data").mkdir(exist_ok=True)
    (workspace / "data" / site).symlink_to(data.resolve())  # `fx` refuses paths outside
    fx.run(workspace, "collaborator", "create", "-n", site, "-d", f"data/{site}", "--silent")
    fx.run(workspace, "collaborator", "generate-cert-request", "-n", site, "--silent")
    encryption_key.request(workspace, site)
    return workspace
