"""Delivery: the member list, the revocation list, and a package with all that a party needs."""

import zipfile
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from io import BytesIO
from pathlib import Path
from secrets import token_hex

from cryptography import x509

from certs import run_keys
from certs.authority import Authority, pem
from certs.register import GOOD, RENEW, Issued, Register
from src.errors import Refused
from src.files import write_atomically
from src.secure_aggregation.keys import SumKeys
from src.trust import bundle, members, signed_statement
from src.trust.certificate import ENCRYPTION, ROLES, SITE, Role
from src.trust.members import Member, Members


class Delivery:
    """What the desk hands out. now: the clock."""

    def __init__(
        self, authority: Authority, register: Register, now: Callable[[], datetime]
    ) -> None:
        self.authority = authority
        self.register = register
        self._now = now

    # -- who has which certificate -------------------------------------------------------------

    def state(self, entry: Issued) -> str:
        """The state of a certificate now; see `Issued.state`."""
        return entry.state(self._now(), self.authority.policy.renewal_days)

    def current(self, name: str, role: Role) -> Issued | None:
        """The certificate with which a party speaks now; None if it has none."""
        good = [e for e in self.register.of(name, role) if self.state(e) in (GOOD, RENEW)]
        return good[-1] if good else None

    def _certificate(self, name: str, role: Role) -> x509.Certificate:
        """The certificate that a party holds in this role. Refused: none is good."""
        entry = self.current(name, role)
        if entry is None:
            raise Refused(
                f"{name} ({role.name}) has no certificate that is good. Issue one, or take the "
                "name out: certify dismiss."
            )
        return entry.loaded()

    # -- the two lists -------------------------------------------------------------------------

    def revocation_list(self) -> bytes:
        """The revocation list as it stands now, issued anew under the next number."""
        entries = [
            {
                "serial": int(entry.serial, 16),
                "revoked": datetime.fromisoformat(entry.revoked["time"]),
                "reason": entry.revoked["reason"],
            }
            for entry in self.register.issued
            if entry.revoked
        ]
        number = self.register.crl_number + 1
        issued = self.authority.issue_crl(number, entries)
        self.register.crl_number = number
        ends = self._now() + timedelta(days=self.authority.policy.days["revocation_list"])
        self.register.crl_until = ends.isoformat(timespec="seconds")
        self.register.save()
        return issued

    def members(self) -> Members:
        """The member list of all enrolled parties; a new run number if anything has changed.

        Refused: a party has no certificate that is good.
        """
        found = []
        for name, role_name in sorted(self.register.enrolled.items()):
            role = ROLES[role_name]
            certificate = self._certificate(name, role)
            encryption = self._certificate(name, ENCRYPTION) if role == SITE else None
            found.append(Member(name, role, certificate, encryption))
        if not self.register.run:
            self.register.run = token_hex(16)
            self.register.keys = None
            self.register.save()
        keys = self.register.keys
        commitment = keys["commitment"] if keys else None
        listed = Members(self.authority.federation, self.register.run, tuple(found), commitment)
        return members.parse(listed.statement(), name="the register")

    def signed_members(self) -> bytes:
        """The member list, signed by the desk: the same bytes until something changes."""
        path, desk = self.authority.folder / "members.json", self.authority.desk
        listed = self.members().statement()
        if path.is_file():
            signed = path.read_bytes()
            if signed_statement.verify(members.KIND, signed, desk, name=str(path)) == listed:
                return signed
        signed = signed_statement.sign(members.KIND, listed, self.authority.key("desk"), desk)
        write_atomically(path, signed)
        return signed

    # -- the packages --------------------------------------------------------------------------

    def write_packages(
        self, out: Path, *, workspace: Path | None = None, new_run: bool = False
    ) -> list[Path]:
        """Write one package for each party, with all that it needs; return their paths.

        `python -m src receive` takes them.
        workspace: the desk's copy. It gets the signed member list, and if its plan encrypts, keys
            are made for this run and bundle and encrypted for each site.
        new_run: the same members start another run, under a new number and with new keys.
        """
        if new_run:
            self.register.run = None
        envelopes = self._encrypted_keys(workspace) if workspace else {}
        listed = self.members()
        shared = {
            "cert_chain.crt": self.authority.chain,
            "desk.crt": pem(self.authority.desk),
            "members.json": self.signed_members(),
            "revoked.crl": self.revocation_list(),
        }
        packages = []
        for member in listed.members:
            package = out / _package_name(member)
            files = shared | _own_files(member, envelopes.get(member.name))
            write_atomically(package, _zipped(files.items()))
            packages.append(package)
        return packages

    def _encrypted_keys(self, workspace: Path) -> dict[str, bytes]:
        """Each site's envelope with the run's keys, by name; empty if the plan does not encrypt.

        Keys are made once for a run and a bundle; another bundle (a changed plan, say) is another
        run.
        """
        encrypts = run_keys.encrypts(workspace)
        known = self.register.keys
        if known and (not encrypts or known["bundle"] != self._bundle(workspace)):
            self.register.run = None
        listed = self.members()
        if encrypts and not self.register.keys:
            keys = SumKeys.new()
            self.register.keys = {"commitment": run_keys.commit(keys)}
            listed = self.members()
            digest = self._bundle(workspace)
            self.register.keys |= run_keys.seal(self.authority, listed, digest, keys, self._now())
            self.register.save()
        self._bundle(workspace)
        return run_keys.envelopes(self.authority, listed) if encrypts else {}

    def _bundle(self, workspace: Path) -> str:
        """The digest of what runs, once the workspace holds the signed list."""
        write_atomically(workspace / members.FILE, self.signed_members())
        return bundle.read(workspace).digest


def _package_name(member: Member) -> str:
    """The name that OpenFL expects of a site's package, and ours of the aggregator's."""
    if member.role == SITE:
        return f"agg_to_col_{member.name}_signed_cert.zip"
    return f"desk_to_agg_{member.name}.zip"


def _own_files(member: Member, envelope: bytes | None) -> dict[str, bytes]:
    """What only this party gets: its certificates, and the run's keys in their envelope."""
    if member.role != SITE:
        return {f"server/agg_{member.name}.crt": pem(member.certificate)}
    files = {f"client/col_{member.name}.crt": pem(member.certificate)}
    if member.encryption is not None:
        files[f"encryption/col_{member.name}.crt"] = pem(member.encryption)
    if envelope is not None:
        files[f"keys/col_{member.name}.cms"] = envelope
    return files


def _zipped(files: Iterable[tuple[str, bytes]]) -> bytes:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files:
            archive.writestr(name, content)
    return buffer.getvalue()
