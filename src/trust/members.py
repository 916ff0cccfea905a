"""The member list says who takes part, in which role, with which certificates; the desk signs it.

Every party checks against it: a site knows the one aggregator's certificate from it, the aggregator
the sites'. A new list means a new run, which all sites approve anew.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from src import pem_door
from src.errors import Refused, WireError
from src.fields import Fields
from src.strict import NAME
from src.trust import certificate as certificates
from src.trust import fingerprint, signed_statement
from src.trust.certificate import AGGREGATOR, DESK, ENCRYPTION, ROLES, SITE, CertificatePath, Role

KIND = "members"
FILE = Path("cert/members.json")
DESK_FILE = Path("cert/desk.crt")
CHAIN_FILE = Path("cert/cert_chain.crt")
MOST_NAME = 253  # characters, as of a DNS name


@dataclass(frozen=True)
class Member:
    """One party of the federation.

    certificate: the one with which it speaks and signs.
    encryption: a site's certificate for what is encrypted to it; None for an aggregator.
    """

    name: str
    role: Role
    certificate: x509.Certificate
    encryption: x509.Certificate | None

    @property
    def sha256(self) -> str:
        """The fingerprint of the certificate with which this member speaks and signs."""
        return fingerprint.of_certificate(self.certificate)


@dataclass(frozen=True)
class Members:
    """The member list.

    run: 16 random bytes of the desk in hex, new with each list; it ties messages to a run.
    keys: {"salt", "sha256"}, the commitment to the keys of encrypted sums; None in a run that does
        not encrypt.
    """

    federation: str
    run: str
    members: tuple[Member, ...]
    keys: Mapping[str, str] | None = None

    @property
    def sites(self) -> list[str]:
        """The sites' names, sorted."""
        return sorted(member.name for member in self.members if member.role == SITE)

    @property
    def aggregator(self) -> Member:
        """The one aggregator."""
        return next(member for member in self.members if member.role == AGGREGATOR)

    def site(self, name: str) -> Member:
        """The site of that name. Refused: the list holds no such site."""
        for member in self.members:
            if member.role == SITE and member.name == name:
                return member
        raise Refused(
            f"{name!r} is not in the member list; its sites are {', '.join(self.sites)}. "
            "A site joins through the desk, with a new list."
        )

    def statement(self) -> dict[str, Any]:
        """The list as JSON, which the desk signs."""
        return {
            "federation": self.federation,
            "run": self.run,
            "keys": self.keys and dict(self.keys),
            "members": [
                {
                    "name": member.name,
                    "role": member.role.name,
                    "sha256": member.sha256,
                    "certificate": _pem(member.certificate),
                    "sealing_sha256": member.encryption
                    and fingerprint.of_certificate(member.encryption),
                    "encryption": member.encryption and _pem(member.encryption),
                }
                for member in self.members
            ],
        }


def read(workspace: Path, now: datetime) -> Members:
    """The list in a workspace, with every certificate in it checked.

    Refused: the list or a certificate is missing, unsigned, out of force, or names another party.
    """
    chain = CertificatePath.read(workspace / CHAIN_FILE)
    desk = certificates.read_certificate(workspace / DESK_FILE)
    chain.check(desk, DESK, name=str(workspace / DESK_FILE), now=now)
    path = workspace / FILE
    members = parse(signed_statement.read(KIND, path, desk), name=str(path))
    for member in members.members:
        place = f"{path}: {member.name}"
        chain.check(member.certificate, member.role, name=place, now=now)
        if certificates.dns_names(member.certificate) != [member.name]:
            raise Refused(f"{place}: its certificate names another party.")
        if member.role == SITE:
            if member.encryption is None:
                raise Refused(f"{place}: a site needs an encryption certificate.")
            chain.check(member.encryption, ENCRYPTION, name=f"{place}, encryption", now=now)
    return members


def parse(statement: Any, *, name: str) -> Members:
    """The member list that a signed statement holds.

    name: what messages call it.
    Refused: an entry is missing or malformed, a name or certificate occurs twice, or there is not
        exactly one aggregator and at least one site.
    """
    try:
        fields = Fields(statement).only("federation", "run", "keys", "members")
        members = tuple(_member(Fields(entry)) for entry in fields.entries("members"))
        found = Members(
            fields.text("federation", most=MOST_NAME), fields.hex("run", 16), members, _keys(fields)
        )
    except WireError as error:
        raise Refused(f"{name}: not a member list: {error}") from None
    _distinct([member.name for member in members], name, "name")
    _distinct([member.sha256 for member in members], name, "certificate")
    if [member.role for member in members].count(AGGREGATOR) != 1 or not found.sites:
        raise Refused(f"{name}: expected one aggregator and at least one site.")
    return found


def _keys(fields: Fields) -> dict[str, str] | None:
    if fields.is_none("keys"):
        return None
    keys = fields.fields("keys").only("salt", "sha256")
    return {"salt": keys.hex("salt", 16), "sha256": keys.hex("sha256", 32)}


def _member(entry: Fields) -> Member:
    entry.only("name", "role", "sha256", "certificate", "sealing_sha256", "encryption")
    name, role = entry.text("name", most=MOST_NAME), entry.text("role", most=MOST_NAME)
    if not NAME.fullmatch(name):
        raise WireError(f"{name!a} is no name of a party: letters, digits, - and . alone.")
    if role not in ROLES:
        raise WireError(f"{name} has the role {role!a}, which there is not.")
    encryption = None if entry.is_none("encryption") else _certificate(entry, "encryption")
    found = Member(name, ROLES[role], _certificate(entry, "certificate"), encryption)
    told = entry.hex("sha256", 32)
    if told != found.sha256:
        raise WireError(f"{name}'s certificate is not the one of fingerprint {told}.")
    return found


def _certificate(entry: Fields, key: str) -> x509.Certificate:
    try:
        return pem_door.certificate(entry.text(key).encode())
    except WireError as error:
        raise WireError(f"{key} is no certificate: {error}") from None


def _distinct(values: Iterable[str], name: str, what: str) -> None:
    values = list(values)
    if len(set(values)) != len(values):
        raise Refused(f"{name}: the same {what} stands in it twice.")


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()
