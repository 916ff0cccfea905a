"""The federation's certificates: their roles and names, and the exact reason why one is not good.

root (path length 1) - signing authority (path length 0) - leaves. A leaf has one role, and nothing
in it serves another (RFC 5280): a site's certificate is no server's, and an encryption key does not
sign.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from src import no_dump, pem_door
from src.errors import Refused, WireError


@dataclass(frozen=True)
class Role:
    """A role says what a leaf may do: its extended key usage, and one key usage."""

    name: str
    extended: x509.ObjectIdentifier
    signs: bool  # digitalSignature; else keyEncipherment


AGGREGATOR = Role("aggregator", ExtendedKeyUsageOID.SERVER_AUTH, signs=True)
SITE = Role("site", ExtendedKeyUsageOID.CLIENT_AUTH, signs=True)
ENCRYPTION = Role("encryption", ExtendedKeyUsageOID.EMAIL_PROTECTION, signs=False)
DESK = Role("desk", ExtendedKeyUsageOID.EMAIL_PROTECTION, signs=True)
ROLES = {role.name: role for role in (AGGREGATOR, SITE, ENCRYPTION, DESK)}


@dataclass(frozen=True)
class CertificatePath:
    """The federation's certification path: the signing certificate and the root above it."""

    signing: x509.Certificate
    root: x509.Certificate

    @classmethod
    def read(cls, path: Path) -> "CertificatePath":
        """Read a PEM file with the signing certificate, then the root. Refused: it holds none."""
        try:
            signing, root = pem_door.certificates(path.read_bytes())
        except FileNotFoundError:
            raise Refused(f"{path} is missing. It comes with the certificate from the desk.") from (
                None
            )
        except (WireError, ValueError) as error:
            raise Refused(f"{path}: expected two certificates, signing and root: {error}") from None
        chain = cls(signing, root)
        for lower, upper, length in ((signing, root, 0), (root, root, 1)):
            _issued_by(lower, upper, f"{path}")
            constraints = lower.extensions.get_extension_for_class(x509.BasicConstraints).value
            if not constraints.ca or constraints.path_length != length:
                raise Refused(f"{path}: {subject(lower)} is no authority of path length {length}.")
        return chain

    def check(self, leaf: x509.Certificate, role: Role, *, name: str, now: datetime) -> None:
        """Refused unless this authority has issued `leaf` for `role`, and the leaf is in force now.

        name: what messages call the certificate.
        """
        _issued_by(leaf, self.signing, name)
        if role_of(leaf) != role:
            found = role_of(leaf)
            raise Refused(
                f"{name}: {subject(leaf)} is a certificate for "
                f"{found.name if found else 'no role of this kit'}, expected one for {role.name}."
            )
        for certificate in (leaf, self.signing, self.root):
            in_force(certificate, name=name, now=now)


def _issued_by(lower: x509.Certificate, upper: x509.Certificate, name: str) -> None:
    try:
        lower.verify_directly_issued_by(upper)
    except (InvalidSignature, ValueError, TypeError):
        raise Refused(
            f"{name}: {subject(lower)} was not issued by this federation's authority "
            f"({subject(upper)}). Ask the desk."
        ) from None


def in_force(certificate: x509.Certificate, *, name: str, now: datetime) -> None:
    """Refused if the certificate has expired or is not valid yet."""
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if now > end:
        raise Refused(
            f"{name}: {subject(certificate)} expired at {end}; it is {now:%F %T} here. Is this "
            "clock right? If it is, ask the desk to renew the certificate."
        )
    if now < begin:
        raise Refused(
            f"{name}: {subject(certificate)} is not valid before {begin}; it is {now:%F %T}. "
            "Check this machine's clock."
        )


def role_of(leaf: x509.Certificate) -> Role | None:
    """The one role whose usages the leaf has exactly; None if it has no role of this kit."""
    try:
        extended = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        usage = leaf.extensions.get_extension_for_class(x509.KeyUsage).value
        constraints = leaf.extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        return None
    for role in ROLES.values():
        if not constraints.ca and list(extended) == [role.extended] and usage == usage_of(role):
            return role
    return None


def usage_of(role: Role) -> x509.KeyUsage:
    """The key usage of a role: either digitalSignature or keyEncipherment, and nothing else."""
    return x509.KeyUsage(
        digital_signature=role.signs,
        key_encipherment=not role.signs,
        content_commitment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def subject(certificate: x509.Certificate | x509.CertificateSigningRequest) -> str:
    """The common name; empty if there is not exactly one."""
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if len(names) == 1 else ""


def dns_names(certificate: x509.Certificate | x509.CertificateSigningRequest) -> list[str]:
    """The subject alternative names, if all of them are DNS names; else an empty list."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    found = names.get_values_for_type(x509.DNSName)
    return found if len(found) == len(list(names)) else []


def common_name(name: str, serial: int) -> str:
    """The common name of a site's certificate, unique to each issue.

    OpenFL 1.9's aggregator learns nothing but the common name of a caller's certificate (from
    gRPC), so the name carries the serial number.
    """
    return f"{name}.{serial:032x}"


def parse_common_name(text: str) -> tuple[str, int]:
    """(site, serial number) of a site's common name. Refused: the text is none."""
    found = re.fullmatch(r"(.+)\.([0-9a-f]{32})", text)
    if found is None:
        raise Refused(f"{text!r} is not the common name of a site of this kit (name.serial).")
    return found[1], int(found[2], 16)


def read_certificate(path: Path) -> x509.Certificate:
    """Read one PEM certificate. Refused: the file is missing or unreadable."""
    try:
        return pem_door.certificate(path.read_bytes())
    except FileNotFoundError:
        raise Refused(f"{path} is missing. See workspace/README.md, enrolment.") from None
    except WireError as error:
        raise Refused(f"{path}: not a PEM certificate: {error}") from None


def read_key(path: Path, certificate: x509.Certificate) -> RSAPrivateKey:
    """Read the private key of `certificate`. From then on this process cannot be dumped.

    Refused: the file is missing, unreadable, open to other users, or holds another key.
    """
    no_dump.forbid()
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except FileNotFoundError:
        raise Refused(f"{path} is missing. It was made with the request and never sent.") from None
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise Refused(f"{path}: not a private key that can be read: {error}") from None
    if path.stat().st_mode & 0o077:
        raise Refused(f"{path} can be read by other users: `chmod 600 {path}`.")
    if not isinstance(key, RSAPrivateKey) or key.public_key() != certificate.public_key():
        raise Refused(f"{path} is not the key of {subject(certificate)}.")
    return key


def utc_now() -> datetime:
    """The time on this machine's clock, in UTC."""
    return datetime.now(UTC)
