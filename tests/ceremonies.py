"""A ceremony in one process: a desk and the workspaces of an aggregator and two sites.

Requests are made by OpenFL's own function, the one that `fx … generate-cert-request` calls.
"""

import shutil
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from openfl.cryptography.participant import generate_csr

from certs.authority import Authority
from certs.ceremony import Ceremony
from scripts.local.workspace import build_workspace, complete_plan
from src.trust import approval, encryption_key, fingerprint
from src.trust.certificate import AGGREGATOR, SITE
from src.trust.gate import SiteGate
from src.trust.package import receive

ROOT = Path(__file__).resolve().parents[1]
PASSPHRASE = b"a passphrase of the desk's"
START = datetime(2026, 11, 23, 12, tzinfo=UTC)
SITES = ("one", "two")
ADDRESS = "agg.example.org"
PEM = serialization.Encoding.PEM


class Clock:
    """Gives the time, which a test may move."""

    def __init__(self, now: datetime = START) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def pass_days(self, days: float) -> None:
        self.now += timedelta(days=days)


def make_request(
    workspace: Path,
    name: str,
    *,
    asked: str | None = None,
    server: bool = False,
    sealed: bool = True,
) -> Path:
    """What `fx` makes for `name`; asked: the name inside the request, where it is another."""
    key, csr = generate_csr(asked or name, server=server)
    folder, stem = ("server", f"agg_{name}") if server else ("client", f"col_{name}")
    path = workspace / "cert" / folder / f"{stem}.key"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(
        key.private_bytes(
            PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
    )
    path.chmod(0o600)
    request = path.with_suffix(".csr")
    request.write_bytes(csr.public_bytes(PEM))
    if server:
        return request
    package = workspace / f"col_{name}_to_agg_cert_request.zip"
    with zipfile.ZipFile(package, "w") as archive:
        archive.write(request, request.name)
    if sealed:
        encryption_key.request(workspace, name)
    return package


def open_desk(folder: Path, clock: Clock) -> Ceremony:
    """The desk whose folder this is."""
    return Ceremony(Authority(folder, lambda: PASSPHRASE, clock), clock)


def create_desk(
    folder: Path, clock: Clock, federation: str = "glioma", sites: tuple[str, ...] = SITES
) -> Ceremony:
    """A new desk with everybody enrolled."""
    Authority.create(folder, federation, lambda: PASSPHRASE, clock)
    desk = open_desk(folder, clock)
    desk.enrol(ADDRESS, AGGREGATOR)
    for site in sites:
        desk.enrol(site, SITE)
    return desk


def words_of(desk: Ceremony, request: Path) -> str:
    """What the sender of a request would read out."""
    return fingerprint.words(desk.inspect(request).sha256)


def hand_out(desk: Ceremony, folder: Path, clock: Clock, **how) -> None:
    """Packages to every party, taken in; with keys, where the aggregator's plan encrypts."""
    packages = folder / "packages"
    desk.delivery.write_packages(packages, workspace=folder / "aggregator", **how)
    receive(packages / f"desk_to_agg_{ADDRESS}.zip", folder / "aggregator", clock())
    for site in desk.delivery.members().sites:
        receive(packages / f"agg_to_col_{site}_signed_cert.zip", folder / site, clock())


def approve(workspace: Path, site: str, clock: Clock) -> None:
    """The site's signature under what lies in its workspace."""
    gate = SiteGate(str(workspace), clock)
    member = gate.identify(site)
    approval.approve(workspace, gate.bundle, gate.members.run, member, gate.key, clock())


def hold(
    folder: Path, clock: Clock, sites: tuple[str, ...] = SITES, plan_name: str = "plain.yaml"
) -> None:
    """The whole ceremony in `folder`: desk, aggregator, sites; all sites have approved."""
    plan = complete_plan(ROOT / "plan" / plan_name, address=ADDRESS, port=50061)
    build_workspace(plan, folder / "aggregator")
    (folder / "aggregator" / "save" / "init.pbuf").write_bytes(b"initial weights")
    for site in sites:
        shutil.copytree(folder / "aggregator", folder / site)
        (folder / site / "plan" / "data.yaml").write_text(f"{site},data/{site}\n")
    desk = create_desk(folder / "desk", clock, sites=sites)
    requests = [make_request(folder / "aggregator", ADDRESS, server=True)]
    requests += [make_request(folder / site, site) for site in sites]
    for request in requests:
        desk.issue(request, words_of(desk, request))
    hand_out(desk, folder, clock)
    for site in sites:
        approve(folder / site, site, clock)
