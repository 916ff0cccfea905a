"""An encrypted federation in one process: real keys, signatures, ciphertexts and workers.

Only the certificates are simpler than the ceremony's, and nothing travels.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from src.errors import Refused
from src.secure_aggregation.keys import SumKeys
from src.secure_aggregation.server import EncryptedRounds
from src.secure_aggregation.settings import Encryption
from src.secure_aggregation.site import EncryptingSite
from src.trust import fingerprint, signed_statement
from src.trust.certificate import utc_now

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
        .not_valid_before(datetime.now(UTC))
        .not_valid_after(datetime.now(UTC) + timedelta(days=90))
        .sign(key, hashes.SHA256())
    )
    return key, certificate


class SigningGate:
    """Signs as one site, and knows the others. revoked_sites: names, for a test to fill."""

    def __init__(self, names: list[str], own: str = "", run: str = RUN, bundle: str = BUNDLE):
        self.own = own
        self.revoked_sites: list[str] = []
        self.events: list[tuple] = []
        self.bundle = SimpleNamespace(digest=bundle)
        members = {name: self._member(name) for name in names}
        self.members = SimpleNamespace(run=run, sites=sorted(names), site=members.__getitem__)

    @staticmethod
    def _member(name: str) -> SimpleNamespace:
        _, certificate = certified(name)
        return SimpleNamespace(name=name, sha256=fingerprint.of_certificate(certificate))

    @property
    def certificate(self) -> x509.Certificate:
        """Its own."""
        return certified(self.own)[1]

    def now(self) -> datetime:
        """This machine's time."""
        return utc_now()

    def sign(self, kind, statement) -> bytes:
        """As `src.trust.party.Party.sign`."""
        key, certificate = certified(self.own)
        return signed_statement.sign(kind, statement, key, certificate)

    def verify(self, kind, content, *, in_force):
        """As `src.trust.party.Party.verify`."""
        sha256 = signed_statement.signer(content)
        for name in self.members.sites:
            member = self.members.site(name)
            if member.sha256 == sha256:
                if in_force and name in self.revoked_sites:
                    raise Refused(f"{name} was revoked")
                return member, signed_statement.verify(kind, content, certified(name)[1], name=name)
        raise Refused("nobody in the member list")

    def log(self, event, **details):
        self.events.append((event, details))


class Federation:
    """Sites with their numbers of cases, and an aggregator, in `folder`.

    initial: the model (P,), float32. sizes: of its tensors. settings: of `Encryption`.
    """

    def __init__(
        self,
        folder: Path,
        cases: dict[str, int],
        initial: np.ndarray,
        sizes: Sequence[int],
        **settings: object,
    ) -> None:
        self.folder = folder
        self.cases = cases
        self.initial = initial
        self.sizes = sizes
        self.encryption = Encryption(**settings)  # type: ignore[arg-type]
        self.keys = SumKeys.new()
        self.sites = {name: self.site(name) for name in cases}
        self.aggregator = self.new_aggregator()
        self.aggregator.begin(0, resumed=False)

    def gate(self, own: str = "") -> SigningGate:
        """A gate of its own for each party."""
        return SigningGate(list(self.cases), own)

    def site(
        self,
        name: str,
        folder: Path | None = None,
        keys: SumKeys | None = None,
        outside: Path | None = None,
    ) -> EncryptingSite:
        """A site as it starts: what it knows lies in its folder, in memory, and outside."""
        home = folder or self.folder / name
        home.mkdir(parents=True, exist_ok=True)
        return EncryptingSite(
            self.encryption,
            self.gate(name),
            name,
            keys or self.keys,
            self.sizes,
            lambda: self.initial,
            home,
            outside or self.folder / f"{name}-outside",
        )

    def restart(self, name: str) -> EncryptingSite:
        """A site's process ends, and another begins in its folder."""
        self.sites[name].close()
        self.sites[name] = self.site(name)
        return self.sites[name]

    def new_aggregator(self) -> EncryptedRounds:
        """An aggregator as it starts: what it knows lies in its folder."""
        gate = self.gate()
        home = self.folder / "aggregator"
        return EncryptedRounds(self.encryption, gate, self.initial.size, home)

    def gather(self, *absent: str) -> None:
        """Close the first roster over all but the absent."""
        present = [name for name in self.sites if name not in absent]
        for name in present:
            for report in self.sites[name].introduction():
                self.aggregator.introduced(name, report)
        assert self.aggregator.gather(present)

    @property
    def round(self) -> int:
        """The open one."""
        return self.aggregator.state.round

    def open(self, name: str) -> np.ndarray:
        """The open round's model, as a site verifies it."""
        return self.sites[name].open(self.aggregator.model(self.round))

    def answer(self, name: str, model: np.ndarray) -> bytes:
        """What a site sends in the round that it has opened, as its process would decide it."""
        site = self.sites[name]
        kept = site.kept()
        if kept is None and not site.takes_part:
            return site.announce_only()
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
        """End every worker, and leave no mask key in memory."""
        for site in self.sites.values():
            site.close()
            site.state.keys.forget()
        self.aggregator.stop()
