"""A party has a certificate, a key and an audit log: what both gates (`gate`) have in common."""

import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from src.errors import Refused
from src.files import make_private, write_atomically
from src.trust import (
    bundle,
    compiled,
    fingerprint,
    members,
    revocation,
    signed_statement,
)
from src.trust import certificate as certificates
from src.trust.audit import FILE, AuditLog, digest_of
from src.trust.certificate import AGGREGATOR, SITE, CertificatePath
from src.trust.lock import WorkspaceLock
from src.trust.members import Member
from src.trust.revocation import ADVICE, RevocationList

logger = logging.getLogger(__name__)

COLLABORATORS = Path("plan/cols.yaml")
OWN_FOLDERS = ("local_state", "logs")  # of no other user's business: what `fx` makes is open
OWN = {SITE: "client/col_{}.crt", AGGREGATOR: "server/agg_{}.crt"}  # as `fx` names them


class Party:
    """One party, in the workspace in which `fx` runs.

    workspace: the folder in which `fx` runs.
    now: the clock.
    """

    def __init__(
        self, workspace: str = ".", now: Callable[[], datetime] = certificates.utc_now
    ) -> None:
        self.workspace = Path(workspace)
        self.now = now
        self.members = members.read(self.workspace, now())
        self.bundle = bundle.read(self.workspace)
        self.chain = CertificatePath.read(self.workspace / members.CHAIN_FILE)
        self.deny = RevocationList(self.workspace, self.chain.signing, now, self._log_revoked)
        self._revoked: set[str] = set()
        self.lock = WorkspaceLock(self.workspace, now)
        self._warned: set[datetime] = set()

    @property
    def federation(self) -> str:
        """The name that both sides must give at every call: the desk's run."""
        return f"run_{self.members.run}"

    def _identify(self, member: members.Member) -> None:
        """Check this party's own certificate and key, then open its audit log."""
        for folder in OWN_FOLDERS:
            make_private(self.workspace / folder)
        found = own_certificate(self.workspace, member, self.chain, self.now())
        self.certificate, self.key = found
        self.deny.check(self.certificate.serial_number, name=member.name)
        self.audit = AuditLog(self.workspace / FILE, member.name, self.now)
        self.audit.write("key opened", sha256=fingerprint.of_certificate(self.certificate))
        self._log_revoked()
        self._warn_of_the_lists_end()

    def _check_compiled(self) -> None:
        """Refused, and logged, if this process may have run a copy that is not its source's."""
        try:
            compiled.check(self.workspace)
        except Refused as refusal:
            self.audit.write("refused", reason=str(refusal))
            raise

    def _log_revoked(self) -> None:
        """Log each revoked member once, even if it never calls."""
        for member in self.members.members:
            if member.name not in self._revoked and self._is_revoked(member):
                self._revoked.add(member.name)
                with suppress(OSError):  # a full disk lets nobody in, nor ends it; `Damaged` does
                    self.audit.write("revoked", site=member.name, sha256=member.sha256)

    def _is_revoked(self, member: Member) -> bool:
        return self.deny.is_on(member.certificate.serial_number)

    def _warn_of_the_lists_end(self) -> None:
        """Say, once a day, that the revocation list ends soon: with it everything here ends."""
        ends = self.deny.ends_soon()
        if ends is None:
            return
        day = self.now().replace(hour=0, minute=0, second=0, microsecond=0)
        if day not in self._warned:
            self._warned.add(day)
            logger.warning(
                "The revocation list ends at %s UTC, and nobody is talked to then. %s",
                f"{ends:%F %T}",
                ADVICE,
            )
            self.audit.write("revocation list ends soon", until=ends.isoformat())

    # -- the revocation list, as parties hand it on ------------------------------------------------

    def revocations(self) -> bytes:
        """This party's revocation list."""
        return self.deny.content()

    def exchange_revocations(self, content: bytes, source: str) -> bytes | None:
        """Take another party's revocation list if its number is higher; give this one's if it is.

        Refused: what was handed on is no list of this authority's that is in force.
        """
        higher = self.deny.take(content, source=source)
        if higher > 0:
            number = revocation.number(self.deny.current())
            self.audit.write("revocation list taken", number=number, source=source)
        return self.revocations() if higher < 0 else None

    def sign(self, kind: str, statement: Any) -> bytes:
        """Sign a statement with the key with which this party speaks.

        kind: the purpose; a signature is worth nothing for another.
        """
        return signed_statement.sign(kind, statement, self.key, self.certificate)

    def verify(self, kind: str, content: bytes, *, in_force: bool) -> tuple[Member, Any]:
        """(the site that signed the statement, the statement).

        in_force: whether the signer must not be revoked now.
        Refused: no site of the member list has signed these bytes as this kind.
        """
        sha256 = signed_statement.signer(content)
        for name in self.members.sites:
            member = self.members.site(name)
            if member.sha256 == sha256:
                if in_force:
                    self.deny.check(member.certificate.serial_number, name=name)
                statement = signed_statement.verify(
                    kind, content, member.certificate, name=f"{name}'s"
                )
                return member, statement
        raise Refused(f"nobody in the member list has the certificate {sha256[:16]}…")

    def sending(self, site: str, round_number: int, what: str, blobs: Iterable[bytes]) -> str:
        """Log what is about to be sent, and return its digest."""
        digest = digest_of(blobs)
        self.audit.write("sending", site=site, round=round_number, what=what, digest=digest)
        return digest

    def received(self, site: str, round_number: int, what: str, blobs: Iterable[bytes]) -> None:
        """Log what has arrived."""
        digest = digest_of(blobs)
        self.audit.write("received", site=site, round=round_number, what=what, digest=digest)

    def round_ended(self, round_number: int) -> None:
        """Log the end of a round, and sign the log up to here."""
        self._warn_of_the_lists_end()
        self.audit.sign(self.key, self.certificate, round=round_number)

    def log(self, event: str, **details: object) -> None:
        """Log any other event."""
        self.audit.write(event, **details)


def own_certificate(
    workspace: Path, member: members.Member, chain: CertificatePath, now: datetime
) -> tuple[x509.Certificate, RSAPrivateKey]:
    """A party's own certificate and its key. Refused: they are not those of the member list."""
    path = workspace / "cert" / OWN[member.role].format(member.name)
    certificate = certificates.read_certificate(path)
    chain.check(certificate, member.role, name=str(path), now=now)
    if certificate != member.certificate:
        raise Refused(
            f"{path} is not the certificate that the member list names for {member.name}. "
            "Take the newest package from the desk."
        )
    return certificate, certificates.read_key(path.with_suffix(".key"), certificate)


def write_roster(workspace: Path, sites: list[str]) -> None:
    """Write OpenFL's list of sites as the desk has signed it."""
    write_atomically(workspace / COLLABORATORS, yaml.safe_dump({"collaborators": sites}))
