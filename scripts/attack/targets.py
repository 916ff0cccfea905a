"""The targets of the attacks: a federation of this kit, and one of stock OpenFL."""

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from openfl.cryptography.ca import sign_certificate
from openfl.cryptography.io import read_crt, read_key
from openfl.cryptography.participant import generate_csr
from rich.console import Console

from certs.authority import Authority
from certs.ceremony import Ceremony
from scripts.benchmark.meter.contender import ROOT
from scripts.benchmark.peers.openfl_contender import MODULES, NOISE, stock_sections
from scripts.benchmark.peers.openfl_stock import enrol_stock, sign
from scripts.local import finished_run, fx
from scripts.local.enrol import enrol
from scripts.local.processes import Party, free_port, running, wait_for_port
from scripts.local.workspace import build_workspace, complete_plan
from src.errors import InputError, Refused
from src.trust import encryption_key, fingerprint
from src.trust.certificate import SITE, common_name, utc_now
from src.trust.package import receive

SITES = ("s1", "s2", "s3")
PEM = serialization.Encoding.PEM
Identity = tuple[bytes, bytes]  # PEM of the private key, PEM of the certificate


def identity_of(workspace: Path, site: str) -> Identity:
    """A site's own key and certificate."""
    path = workspace / "cert" / "client" / f"col_{site}.key"
    return path.read_bytes(), path.with_suffix(".crt").read_bytes()


def pem(key: RSAPrivateKey, certificate: x509.Certificate) -> Identity:
    """Key and certificate in the form that gRPC takes."""
    form = serialization.PrivateFormat.TraditionalOpenSSL
    return (
        key.private_bytes(PEM, form, serialization.NoEncryption()),
        certificate.public_bytes(PEM),
    )


@dataclass
class Base:
    """Folders and processes, which both targets have alike.

    plan: its file in plan/. port: the aggregator's. process: its id, while it listens.
    """

    folder: Path
    plan: str = "plan.yaml"
    process: int = 0

    def __post_init__(self) -> None:
        self.port = free_port()

    @property
    def aggregator(self) -> Path:
        """The aggregator's workspace."""
        return finished_run.workspace_of(self.folder, "aggregator")

    def site(self, name: str) -> Path:
        """A site's workspace."""
        return finished_run.workspace_of(self.folder, name)

    def build(self, stock: bool) -> dict[str, Path]:
        """Make the aggregator's workspace, and a data folder for each site."""
        plan = complete_plan(ROOT / "plan" / self.plan, rounds=2, port=self.port)
        plan["data_loader"] = {"template": "openfl_parts.SiteNumber", "settings": {}}
        plan["task_runner"] = NOISE | {"settings": {"flat": not stock}}
        if stock:
            plan |= stock_sections(plan, 2)
        build_workspace(plan, self.aggregator)
        data = {}
        for number, site in enumerate(SITES):
            data[site] = self.folder / "data" / site
            data[site].mkdir(parents=True)
            (data[site] / "site").write_text(str(number), encoding="utf-8")
        return data

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Run the aggregator's process during the block."""
        party = Party.start("aggregator", self.aggregator, "aggregator", "start")
        self.process = party.process.pid
        with running([party]):
            wait_for_port(party, self.port)
            yield

    def request(self, name: str, asked: str) -> Path:
        """The package of a site `name` whose request asks for the name `asked`."""
        folder = self.folder / "mallory" / asked
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ".workspace").write_text("current_plan_name: default\n", encoding="utf-8")
        fx.run(folder, "collaborator", "generate-cert-request", "-n", asked, "--silent")
        for suffix in ("csr", "key"):
            path = folder / "cert" / "client" / f"col_{asked}.{suffix}"
            path.rename(path.with_name(f"col_{name}.{suffix}"))
        package = folder / f"col_{name}_to_agg_cert_request.zip"
        (folder / f"col_{asked}_to_agg_cert_request.zip").unlink()
        archive = folder / "package"
        archive.mkdir()
        shutil.copy2(folder / "cert" / "client" / f"col_{name}.csr", archive)
        shutil.make_archive(str(package.with_suffix("")), "zip", archive)
        return package


class Stock(Base):
    """OpenFL 1.9 as it is: its own authority, every step as its manual says."""

    name = "OpenFL 1.9"

    def enrol(self) -> None:
        """Enrol all parties by `fx` alone."""
        modules = list(MODULES)
        enrol_stock(self.folder, self.build(stock=True), modules)

    def certify(self, package: Path, site: str) -> Identity:
        """Sign as the aggregator's operator: `fx` shows a hash, which is right, and no name."""
        signed = sign(self.aggregator, package, site)
        folder = package.parent / "signed"
        shutil.unpack_archive(signed, folder)
        key = package.parent / "cert" / "client" / f"col_{site}.key"
        return key.read_bytes(), (folder / "client" / f"col_{site}.crt").read_bytes()

    def mint(self, site: str, begin: datetime, end: datetime, san: str) -> Identity:
        """Make a certificate with the authority's key, which lies unencrypted at the aggregator."""
        ca = self.aggregator / "cert" / "ca"
        signing_key = read_key(ca / "signing-ca" / "private" / "signing-ca.key")
        issuer = read_crt(ca / "signing-ca.crt").subject
        key, csr = generate_csr(site)
        if san != site:
            csr = _asking_for(csr, key, san)
        made = sign_certificate(csr, signing_key, issuer, days_to_expiration=1)
        builder = x509.CertificateBuilder(extensions=list(made.extensions))
        builder = builder.subject_name(made.subject).issuer_name(made.issuer)
        builder = builder.serial_number(made.serial_number).public_key(made.public_key())
        builder = builder.not_valid_before(begin).not_valid_after(end)
        return pem(key, builder.sign(signing_key, hashes.SHA384()))

    def revoke(self, site: str) -> None:
        """Take the name out of the list, which is all that OpenFL offers."""
        path = self.aggregator / "plan" / "cols.yaml"
        listed = yaml.safe_load(path.read_text(encoding="utf-8"))["collaborators"]
        path.write_text(
            yaml.safe_dump({"collaborators": [s for s in listed if s != site]}), encoding="utf-8"
        )


class Kit(Base):
    """This kit, where `scripts.local.enrol` holds the ceremony."""

    name = "this kit"

    def enrol(self) -> None:
        """Enrol all parties as `simulate` does."""
        enrol(self.folder, self.build(stock=False), modules=list(MODULES))

    @property
    def desk(self) -> Ceremony:
        """The desk, with its passphrase beside it."""
        folder = self.folder / "desk"
        passphrase = (folder / "passphrase").read_bytes()
        return Ceremony(Authority(folder, lambda: passphrase, utc_now), utc_now)

    def certify(self, package: Path, site: str) -> Identity:
        """Ask the desk, which hears the words that mallory reads out. Refused: it declines."""
        desk = self.desk
        desk.enrol(site, SITE)
        try:
            named = package.parent / "cert" / "client" / f"col_{site}.csr"
            encryption_key.request(package.parent, site)
            csr = x509.load_pem_x509_csr(named.read_bytes())
            second = x509.load_pem_x509_csr(
                (package.parent / encryption_key.FOLDER / f"col_{site}.csr").read_bytes()
            )
            heard = fingerprint.words(fingerprint.of_requests(csr, second))
            certificate = desk.issue(package, heard)[0]
        finally:
            desk.dismiss(site)
        return named.with_suffix(".key").read_bytes(), certificate.public_bytes(PEM)

    def mint(self, site: str, begin: datetime, end: datetime, san: str) -> Identity:
        """Make a certificate with the desk's own key, which an attacker does not have."""
        authority = self.desk.authority
        key, _ = generate_csr(site)
        made = authority.issue(san, SITE, key.public_key())
        serial = made.serial_number
        builder = x509.CertificateBuilder(extensions=list(made.extensions))
        name = x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name(site, serial))
        builder = builder.subject_name(x509.Name([name])).issuer_name(made.issuer)
        builder = builder.serial_number(serial).public_key(made.public_key())
        builder = builder.not_valid_before(begin).not_valid_after(end)
        return pem(key, builder.sign(authority.key("signing"), hashes.SHA384()))

    def revoke(self, site: str) -> None:
        """Revoke at the desk, and carry the list to the aggregator."""
        desk = self.desk
        desk.revoke(site, "keyCompromise")
        path = self.folder / "desk" / "revoked.crl"
        path.write_bytes(desk.delivery.revocation_list())
        receive(path, self.aggregator, utc_now())


def _asking_for(csr, key: RSAPrivateKey, san: str) -> x509.CertificateSigningRequest:
    return (
        x509.CertificateSigningRequestBuilder()
        .subject_name(csr.subject)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(san)]), critical=False)
        .sign(key, hashes.SHA384())
    )


def in_force() -> tuple[datetime, datetime]:
    """A period that includes now."""
    now = datetime.now(UTC)
    return now - timedelta(hours=1), now + timedelta(days=1)


Target = Stock | Kit
Found = TypeVar("Found")
REFUSALS = (Refused, InputError, fx.FxFailed, subprocess.SubprocessError)


def against_both(
    console: Console, attacks: int, carry_out: Callable[[Target], Found], plan: str = "plan.yaml"
) -> dict[str, Found]:
    """What came of the attacks, by target: stock OpenFL, then this kit, each enrolled anew.

    attacks: how many `carry_out` carries out, for the progress. plan: its file in plan/.
    """
    results = {}
    for kind in (Stock, Kit):
        folder = Path(tempfile.mkdtemp(prefix="attacks-"))
        try:
            target = kind(folder, plan)
            console.print(f"[dim]{target.name}: enrolment …[/]")
            target.enrol()
            console.print(f"[dim]{target.name}: {attacks} attacks …[/]")
            results[target.name] = carry_out(target)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    return results
