"""The gates check, before a party starts and at every call, who speaks and what runs.

The plan names a gate for each party. A gate fails closed: whatever is missing, unreadable or wrong
ends the start with a `Refused`.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding

from src.differential_privacy import ledger
from src.differential_privacy.guarantee import guarantees
from src.errors import Damaged, Refused, WorkspaceHeld
from src.files import write_atomically
from src.plan.sources import Sources
from src.plan.view import Plan
from src.printable import printable
from src.refusal import marked
from src.trust import (
    approval,
    bundle,
    key_transport,
    ledger_check,
    members,
)
from src.trust import certificate as certificates
from src.trust.party import COLLABORATORS, Party
from src.trust.refusals import Refusals

logger = logging.getLogger(__name__)

PINNED = Path("local_state/aggregator.crt")


class SiteGate(Party):
    """A site's gate: its engineer has approved this bundle, and it talks to one aggregator only."""

    def identify(self, name: str) -> members.Member:
        """This site's entry in the member list, once its own certificate and key were checked."""
        member = self.members.site(name)
        self.name = name
        self._identify(member)
        return member

    def ready(self, name: str) -> None:
        """Check all that can be checked before anything of the plan runs.

        The workspace is this process's from here on. Refused, Damaged: the reason, which is also
        logged.
        """
        member = self.identify(name)
        try:
            self.lock.take()
            self.check_aggregator()
            self.approval = self._approval(member)
            self._check_ledgers()
        except (Refused, Damaged) as error:
            self.lock.release()
            self.audit.write("refused", site=name, reason=str(error))
            raise

    def open(self, name: str) -> str:
        """Check everything before any byte goes out; return the federation's name.

        Refused: the reason, which is also logged.
        """
        self.ready(name)
        self._check_compiled()
        # The only certificate that this site's connections accept (gRPC takes a leaf as anchor)
        self.pinned = self.workspace / PINNED
        pem = self.members.aggregator.certificate.public_bytes(Encoding.PEM)
        write_atomically(self.pinned, pem)
        self.audit.write("started", bundle=self.bundle.digest, run=self.members.run)
        return self.federation

    def _approval(self, member: members.Member) -> bytes:
        path = self.workspace / approval.FILE
        if not path.is_file():
            raise Refused(
                f"{member.name} has approved nothing yet. Look at what would run, then sign it: "
                f"python -m src show && python -m src approve -n {member.name}"
            )
        content = path.read_bytes()
        digest, run = self.bundle.digest, self.members.run
        try:
            approval.verify(content, member, run, digest, name=str(path))
        except Refused as refusal:
            if changed := approval.since(self.workspace, member, self.bundle):
                raise Refused(changed) from refusal
            raise
        return content

    def _check_ledgers(self) -> None:
        """Damaged if the plan is private and a ledger was altered or lost."""
        plan = Plan.read(self.workspace / bundle.PLAN)
        if guarantees(plan, Sources.of(self.workspace)):
            list(ledger_check.check(ledger.folder(), self.workspace, self.now()))

    def sum_keys(self) -> Any:
        """The keys of this run's encrypted sums (`SumKeys`).

        Refused: there are none, or they are not this run's.
        """
        member = self.members.site(self.name)
        keys = key_transport.open_keys(
            self.workspace, member, self.members, self.bundle.digest, self.now()
        )
        assert self.members.keys is not None
        self.audit.write("key opened", what="sums", commitment=self.members.keys["sha256"])
        return keys

    def check_aggregator(self) -> None:
        """Refused if the aggregator's certificate, or this site's, is revoked or has expired."""
        self.deny.check(self.certificate.serial_number, name=self.name)
        certificates.in_force(self.certificate, name=self.name, now=self.now())
        member = self.members.aggregator
        self.deny.check(member.certificate.serial_number, name=f"aggregator {member.name}")
        certificates.in_force(member.certificate, name=member.name, now=self.now())


class AggregatorGate(Party):
    """The aggregator's gate: only members speak, and only if they approved the same bundle."""

    def ready(self) -> None:
        """Check all that can be checked before anything of the plan runs.

        The workspace is this process's from here on. Refused: the reason.
        """
        key_transport.refuse_foreign_keys(self.workspace)
        self._identify(self.members.aggregator)
        try:
            self.lock.take()
        except WorkspaceHeld as held:
            self.audit.write("refused", reason=str(held))
            raise

    def open(self, names: list[str]) -> str:
        """Check everything before the server listens; return the federation's name.

        names: the sites that OpenFL expects; they must be those of the member list.
        Refused: the reason; also that another process works in this workspace.
        """
        if sorted(names) != self.members.sites:
            raise Refused(
                f"{COLLABORATORS} lists {', '.join(sorted(names)) or 'nobody'}; the member list "
                f"signed by "
                f"the desk lists {', '.join(self.members.sites)}. Take the desk's package: "
                "python -m src receive"
            )
        self.ready()
        self._check_compiled()
        self._approved: dict[str, str] = {}
        self._refusals = Refusals(self.now)
        self.audit.write("started", bundle=self.bundle.digest, run=self.members.run)
        return self.federation

    def caller(self, common_name: str) -> str:
        """The site whose certificate the caller has proved to hold. Refused: as in `check`."""
        try:
            name, _ = certificates.parse_common_name(common_name)
        except Refused as refusal:
            self._tell(common_name, common_name, refusal)
            raise Refused(marked(refusal)) from None
        self.check(common_name, name)
        return name

    def check(self, common_name: str, site: str) -> None:
        """Check one call, before anything of it is looked at.

        common_name: from the certificate that the caller has proved to hold.
        site: whom the message claims to come from.
        Refused: the certificate is no member's, another site's, an older one, or revoked.
        """
        try:
            name, serial = certificates.parse_common_name(common_name)
            if name != site:
                raise Refused(f"the certificate is {name}'s, but the call says {site}.")
            member = self.members.site(site)
            self.deny.check(serial, name=site)
            if member.certificate.serial_number != serial:
                raise Refused(
                    f"serial number {serial:x} is not the certificate that the member list names "
                    f"for {site}."
                )
            certificates.in_force(member.certificate, name=site, now=self.now())
        except Refused as refusal:
            self._tell(common_name, f"{common_name} as {site[:80]}", refusal)
            raise Refused(marked(refusal)) from None

    def approve(self, site: str, content: bytes) -> None:
        """Take a site's approval. Refused: it is for something else than what runs here."""
        member = self.members.site(site)
        digest, run = self.bundle.digest, self.members.run
        try:
            found = approval.verify(content, member, run, digest, name=f"{site}'s approval")
        except Refused as refusal:
            self._tell(site, site, refusal)
            raise Refused(marked(refusal)) from None
        self._approved[site] = found["approved"]
        self.audit.write("approved", site=site, bundle=digest, approved=found["approved"])

    @contextmanager
    def refusing(self, site: str) -> Iterator[None]:
        """Log a refusal inside the block, and let it travel to the caller with its reason."""
        try:
            yield
        except Refused as refusal:
            self._tell(site, site, refusal)
            raise type(refusal)(marked(refusal)) from None

    def has_approved(self, site: str) -> bool:
        """Whether this process has seen the site's approval."""
        return site in self._approved

    def revoked(self, site: str) -> bool:
        """Whether the site's certificate is on the revocation list now.

        Refused: there is no list in force, so that nobody's certificate is known to be good.
        """
        return self._is_revoked(self.members.site(site))

    def round_ended(self, round_number: int) -> None:
        """As every party; refusals that were left out of the log are counted in it before."""
        for line in self._refusals.left_out():
            self.audit.write("refused", reason=line)
        super().round_ended(round_number)

    def _tell(self, caller: str, who: str, refusal: Refused) -> None:
        """Log a refusal; see `Refusals` for how many. caller: who is held to their number."""
        for line in self._refusals.lines(caller, printable(f"{who}: {refusal}")):
            logger.warning("Refused %s", line)
            self.audit.write("refused", reason=line)
