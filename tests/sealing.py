"""An encrypted federation in one process: real keys, signatures, ciphertexts and workers.

Only the certificates are simpler than the ceremony's, and nothing travels.
"""

from datetime import timedelta
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from src.aggregation.sealed_rounds import SealedRounds
from src.privacy.encryption import Encryption
from src.privacy.sealed_site import SealedSite
from src.privacy.sum_keys import SumKeys
from src.refused import Refused
from src.trust import envelope, fingerprint
from tests.ceremonies import START

BUNDLE = "b0" * 32
RUN = "01" * 16


@cache
def certified(name: str) -> tuple[rsa.RSAPrivateKey, x509.Certificate]:
    """A signing key and a certificate for it."""
    key = rsa.generate_private_key(65537, 2048)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(START)
        .not_valid_after(START + timedelta(days=90))
        .sign(key, hashes.SHA256())
    )
    return key, certificate


class SigningGate:
    """Signs as one site, and knows the others. denied: names, for a test to fill."""

    def __init__(self, names: list[str], own: str = "", run: str = RUN, bundle: str = BUNDLE):
        self.own = own
        self.denied: list[str] = []
        self.events: list[tuple] = []
        self.bundle = SimpleNamespace(digest=bundle)
        members = {name: self._member(name) for name in names}
        self.members = SimpleNamespace(run=run, sites=sorted(names), site=members.__getitem__)

    @staticmethod
    def _member(name: str) -> SimpleNamespace:
        _, certificate = certified(name)
        return SimpleNamespace(name=name, sha256=fingerprint.of_certificate(certificate))

    def sign(self, kind, statement) -> bytes:
        key, certificate = certified(self.own)
        return envelope.sign(kind, statement, key, certificate)

    def verify(self, kind, content, *, in_force):
        sha256 = envelope.signer(content)
        for name in self.members.sites:
            member = self.members.site(name)
            if member.sha256 == sha256:
                if in_force and name in self.denied:
                    raise Refused(f"{name} was revoked")
                return member, envelope.verify(kind, content, certified(name)[1], name=name)
        raise Refused("nobody in the member list")

    def log(self, event, **details):
        self.events.append((event, details))


class Federation:
    """Sites with their numbers of cases, and an aggregator, in `folder`."""

    def __init__(
        self, folder: Path, cases: dict[str, int], size: int = 20, **settings: object
    ) -> None:
        self.folder = folder
        self.cases = cases
        self.size = size
        self.encryption = Encryption(**({"most_cases": 10} | settings))  # type: ignore[arg-type]
        self.keys = SumKeys.new()
        self.initial = np.linspace(-1, 1, size).astype(np.float32)
        self.sites = {name: self.site(name) for name in cases}
        self.aggregator = self.new_aggregator()
        self.aggregator.begin(0, resumed=False)

    def gate(self, own: str = "") -> SigningGate:
        return SigningGate(list(self.cases), own)

    def site(self, name: str, folder: Path | None = None, keys: SumKeys | None = None):
        """A site as it starts: what it knows lies in its folder."""
        home = folder or self.folder / name
        sizes = [self.size // 2, self.size - self.size // 2]
        return SealedSite(
            self.encryption,
            self.gate(name),
            name,
            keys or self.keys,
            sizes,
            lambda: self.initial,
            home,
        )

    def restart(self, name: str) -> SealedSite:
        self.sites[name].close()
        self.sites[name] = self.site(name)
        return self.sites[name]

    def new_aggregator(self) -> SealedRounds:
        gate = self.gate()
        return SealedRounds(self.encryption, gate, self.size, self.folder / "aggregator")

    def gather(self, *absent: str) -> None:
        present = [name for name in self.sites if name not in absent]
        for name in present:
            for report in self.sites[name].introduction():
                self.aggregator.introduced(name, report)
        assert self.aggregator.gather(present)

    @property
    def round(self) -> int:
        return self.aggregator.state.round

    def open(self, name: str) -> np.ndarray:
        return self.sites[name].open(self.aggregator.model(self.round))

    def answer(self, name: str, model: np.ndarray) -> bytes:
        """What a site sends in the round that it has opened, as its process would decide it."""
        site = self.sites[name]
        kept = site.kept()
        if kept is None and not site.takes_part:
            return site.report_only()
        if kept is None:
            kept = site.seal(model, self.cases[name])
            site.keep(kept)
        return kept

    def play(self, models: dict[str, np.ndarray], absent: tuple[str, ...] = ()) -> str | None:
        """One round; why it came to nothing."""
        present = [name for name in self.sites if name not in absent]
        for name in present:
            self.open(name)
            self.aggregator.take(name, self.round, self.answer(name, models[name]))
        void = self.aggregator.close(present)
        self.aggregator.advance()
        return void

    def close(self) -> None:
        for site in self.sites.values():
            site.close()
        self.aggregator.close_adder()


def models_of(federation: Federation, seed: int = 0) -> dict[str, np.ndarray]:
    """A trained model for each site: the initial one, and something of its own."""
    rng = np.random.default_rng(seed)
    return {
        name: federation.initial + rng.normal(0, 0.1, federation.size).astype(np.float32)
        for name in federation.cases
    }


def mean_of(federation: Federation, models: dict[str, np.ndarray], *absent: str) -> np.ndarray:
    """The weighted mean in float64."""
    present = {name: n for name, n in federation.cases.items() if name not in absent}
    total = sum(present.values())
    return sum(n / total * models[name].astype(np.float64) for name, n in present.items())


def bound_of(federation: Federation, *absent: str) -> float:
    """n * step * W / count, with the steps of the initial model (its reach is 4)."""
    present = {name: n for name, n in federation.cases.items() if name not in absent}
    step = 4 * 2.0 ** -(federation.encryption.bits - 1)
    total = federation.encryption.total(federation.cases)
    return len(present) * step * total / sum(present.values())
