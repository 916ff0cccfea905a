"""The desk's register: who is enrolled, what was issued and revoked, which run is the present one.

One file (`register.json` in the desk's folder), written whole after every act.
"""

import json
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509

from certs.authority import pem
from src import pem_door
from src.errors import InputError
from src.files import read_own_json, write_atomically
from src.trust import fingerprint
from src.trust.certificate import ROLES, Role

GOOD, RENEW = "good", "renew"


@dataclass(frozen=True)
class Issued:
    """One certificate that the desk has issued.

    serial, sha256: in hexadecimal digits. not_after: ISO 8601, UTC.
    certificate: PEM.
    revoked: {"time", "reason"}, None while it is not.
    replaced: whether it has been renewed.
    """

    name: str
    role: str
    serial: str
    sha256: str
    not_after: str
    certificate: str
    revoked: dict[str, str] | None = None
    replaced: bool = False

    @classmethod
    def of(cls, name: str, role: Role, certificate: x509.Certificate) -> "Issued":
        """The entry of a certificate that has just been signed."""
        return cls(
            name=name,
            role=role.name,
            serial=f"{certificate.serial_number:x}",
            sha256=fingerprint.of_certificate(certificate),
            not_after=certificate.not_valid_after_utc.isoformat(),
            certificate=pem(certificate).decode(),
        )

    def left(self, now: datetime) -> timedelta:
        """How long it is still valid; negative once it has expired."""
        return datetime.fromisoformat(self.not_after) - now

    def state(self, now: datetime, renewal_days: int) -> str:
        """One of good, renew (good, but due), replaced, expired, revoked (with its reason)."""
        if self.revoked:
            return f"revoked ({self.revoked['reason']})"
        if self.left(now) < timedelta():
            return "expired"
        if self.replaced:
            return "replaced"
        return RENEW if self.left(now) < timedelta(days=renewal_days) else GOOD

    def loaded(self) -> x509.Certificate:
        """The certificate itself."""
        return pem_door.certificate(self.certificate.encode())


@dataclass
class Register:
    """The register in the file `path`.

    enrolled: role names by name.
    issued: in the order of issue.
    crl_number: of the present revocation list; each new one has a higher number.
    crl_until: until when that list counts, ISO 8601, UTC; None before the first.
    run: the number of the present run, None where anything has changed since the last.
    keys: what is told of that run's keys, None where there are none.
    """

    path: Path
    enrolled: dict[str, str] = field(default_factory=dict)
    issued: list[Issued] = field(default_factory=list)
    crl_number: int = 0
    crl_until: str | None = None
    run: str | None = None
    keys: dict[str, Any] | None = None

    @classmethod
    def read(cls, path: Path) -> "Register":
        """The register in a file; an empty one where there is none. Damaged: it is unreadable."""
        if not path.is_file():
            return cls(path)
        content = read_own_json(path)
        return cls(path, **content | {"issued": [Issued(**entry) for entry in content["issued"]]})

    def save(self) -> None:
        """Write all of it."""
        content = {key: value for key, value in asdict(self).items() if key != "path"}
        write_atomically(self.path, json.dumps(content, indent=1))

    def role(self, name: str) -> Role:
        """The role of an enrolled name. InputError: it is not enrolled."""
        if name not in self.enrolled:
            raise InputError(f"{name!r} is not enrolled. Enrolled: {self.listed()}.")
        return ROLES[self.enrolled[name]]

    def listed(self) -> str:
        """The enrolled names with their roles, for a message."""
        listed = (f"{name} ({role})" for name, role in sorted(self.enrolled.items()))
        return ", ".join(listed) or "nobody"

    def of(self, name: str, role: Role) -> list[Issued]:
        """Every certificate of a party in one role, the oldest first."""
        return [entry for entry in self.issued if (entry.name, entry.role) == (name, role.name)]

    def mark(self, entry: Issued, **changes: Any) -> None:
        """Change one entry, e.g. `replaced=True`."""
        self.issued[self.issued.index(entry)] = replace(entry, **changes)
