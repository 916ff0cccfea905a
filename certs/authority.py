"""The authority: an offline root, a signing certificate below it, and the leaves that it issues.

The keys lie encrypted (PKCS #8, PBES2) in a folder of the desk's, never on the aggregator. Profiles
follow RFC 5280; `openssl verify -x509_strict` accepts each certificate for its purpose and for no
other.
"""

import secrets
import shlex
import shutil
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.x509.oid import NameOID

from certs.policy import HASHES, POLICY, Policy
from src import names as party_names
from src import no_dump
from src.errors import InputError, Refused
from src.files import write_atomically, write_secret
from src.trust.certificate import (
    DESK,
    SITE,
    Role,
    common_name,
    read_certificate,
    subject,
    usage_of,
)

KEYS = ("root", "signing", "desk")


class Authority:
    """The certificate authority in `folder`.

    passphrase: called when a key is needed for the first time.
    now: the clock.
    InputError: the folder holds no authority.
    """

    def __init__(
        self, folder: Path, passphrase: Callable[[], bytes], now: Callable[[], datetime]
    ) -> None:
        if not (folder / "root.crt").is_file():
            raise InputError(
                f"{folder} holds no authority. Make one: certify init --desk "
                f"{shlex.quote(str(folder))}"
            )
        self.folder = folder
        self.policy = Policy.read(folder / "policy.yaml")
        self.root, self.signing, self.desk = (
            read_certificate(folder / f"{name}.crt") for name in KEYS
        )
        self._passphrase = passphrase
        self._now = now
        self._keys: dict[str, RSAPrivateKey] = {}

    @classmethod
    def create(
        cls,
        folder: Path,
        federation: str,
        passphrase: Callable[[], bytes],
        now: Callable[[], datetime],
        policy: Path = POLICY,
    ) -> "Authority":
        """Make a new authority, whole or not at all.

        federation: the name that stands in the root's subject.
        policy: the file of the desk's rules, which is copied into the folder.
        InputError: the folder exists.
        """
        if folder.exists():
            raise InputError(f"{folder} exists. A second authority needs another folder.")
        party_names.check_federation(federation)
        rules = Policy.read(policy)
        part = folder.with_name(f".{folder.name}.part")
        shutil.rmtree(part, ignore_errors=True)  # of a process that was killed
        part.mkdir(parents=True, mode=0o700)
        try:
            cls._write(part, federation, passphrase, now, rules, policy)
            part.rename(folder)
        finally:
            shutil.rmtree(part, ignore_errors=True)
        return cls(folder, passphrase, now)

    @staticmethod
    def _write(
        part: Path,
        federation: str,
        passphrase: Callable[[], bytes],
        now: Callable[[], datetime],
        rules: Policy,
        policy: Path,
    ) -> None:
        """Keys, certificates and rules, into a folder that is not in its place yet."""
        write_atomically(part / "policy.yaml", policy.read_bytes())
        no_dump.forbid()
        keys = {name: rsa.generate_private_key(65537, rules.key_bits) for name in KEYS}
        for name, key in keys.items():
            write_secret(part / f"{name}.key", _encrypted(key, passphrase()))
        names = {name: f"{federation} {name}" for name in KEYS}
        issuers = {"root": "root", "signing": "root", "desk": "signing"}
        for name, issuer in issuers.items():
            builder = _certificate(
                name=names[name],
                issuer=names[issuer],
                key=keys[name].public_key(),
                issuer_key=keys[issuer].public_key(),
                serial=_serial(),
                days=rules.days[name],
                policy=rules,
                now=now(),
            )
            length = {"root": 1, "signing": 0}.get(name)
            builder = _leaf(builder, DESK) if length is None else _authority(builder, length)
            certificate = builder.sign(keys[issuer], HASHES[rules.hash]())
            write_atomically(part / f"{name}.crt", pem(certificate))

    def key(self, name: str) -> RSAPrivateKey:
        """One of the authority's keys ("root", "signing", "desk"), unlocked.

        Refused: the passphrase is wrong.
        """
        if name not in self._keys:
            path = self.folder / f"{name}.key"
            no_dump.forbid()
            try:
                key = serialization.load_pem_private_key(path.read_bytes(), self._passphrase())
            except ValueError:
                raise Refused(f"{path}: this passphrase does not open it.") from None
            assert isinstance(key, RSAPrivateKey)
            self._keys[name] = key
        return self._keys[name]

    @property
    def federation(self) -> str:
        """The federation's name, as it stands in the root certificate."""
        return subject(self.root).removesuffix(" root")

    @property
    def chain(self) -> bytes:
        """The signing certificate and the root in PEM: `cert/cert_chain.crt` of every party."""
        return pem(self.signing) + pem(self.root)

    def issue(self, name: str, role: Role, key: RSAPublicKey) -> x509.Certificate:
        """Issue a leaf for one role, with `name` as its subject alternative name.

        A site's common name also carries the serial number (see
        `src.trust.certificate.common_name`).
        """
        serial = _serial()
        builder = _certificate(
            name=common_name(name, serial) if role == SITE else name,
            issuer=subject(self.signing),
            key=key,
            issuer_key=self.signing.public_key(),
            serial=serial,
            days=self.policy.days["leaf"],
            policy=self.policy,
            now=self._now(),
        )
        builder = _leaf(builder, role).add_extension(
            x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False
        )
        return builder.sign(self.key("signing"), HASHES[self.policy.hash]())

    def issue_crl(self, number: int, entries: Iterable[dict[str, Any]]) -> bytes:
        """Issue the revocation list `number`, in PEM.

        entries: {"serial", "revoked": datetime, "reason"} for each revoked leaf.
        """
        now = self._now()
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.signing.subject)
            .last_update(now - timedelta(minutes=self.policy.backdate_minutes))
            .next_update(now + timedelta(days=self.policy.days["revocation_list"]))
            .add_extension(_key_identifier(self.signing.public_key()), critical=False)
            .add_extension(x509.CRLNumber(number), critical=False)
        )
        for entry in entries:
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder()
                .serial_number(entry["serial"])
                .revocation_date(entry["revoked"])
                .add_extension(x509.CRLReason(x509.ReasonFlags(entry["reason"])), critical=False)
                .build()
            )
        signed = builder.sign(self.key("signing"), HASHES[self.policy.hash]())
        return signed.public_bytes(serialization.Encoding.PEM)


def pem(certificate: x509.Certificate) -> bytes:
    """The certificate as text."""
    return certificate.public_bytes(serialization.Encoding.PEM)


def _encrypted(key: RSAPrivateKey, passphrase: bytes) -> bytes:
    """The key in PEM, encrypted under the passphrase. InputError: fewer than 12 characters."""
    if len(passphrase) < 12:
        raise InputError("The passphrase must have at least 12 characters: it guards the root key.")
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(passphrase),
    )


def _serial() -> int:
    """127 random bits: positive, and at most 32 hexadecimal digits."""
    return secrets.randbits(127) | 1


def _certificate(
    *,
    name: str,
    issuer: str,
    key: RSAPublicKey,
    issuer_key: Any,
    serial: int,
    days: int,
    policy: Policy,
    now: datetime,
) -> x509.CertificateBuilder:
    """What every certificate of the federation has; the caller adds the usages and signs."""
    begin = now - timedelta(minutes=policy.backdate_minutes)
    return (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(_name(issuer))
        .public_key(key)
        .serial_number(serial)
        .not_valid_before(begin)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(_key_identifier(issuer_key), critical=False)
    )


def _name(common_name: str) -> x509.Name:
    """A subject or issuer that consists of a common name alone."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _key_identifier(key: Any) -> x509.AuthorityKeyIdentifier:
    """The identifier of the key that signs, by which a path is built."""
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(key)


def _authority(builder: x509.CertificateBuilder, path_length: int) -> x509.CertificateBuilder:
    """Add what makes an authority: it signs certificates and revocation lists."""
    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    return builder.add_extension(
        x509.BasicConstraints(ca=True, path_length=path_length), critical=True
    ).add_extension(usage, critical=True)


def _leaf(builder: x509.CertificateBuilder, role: Role) -> x509.CertificateBuilder:
    """Add what makes a leaf: the usages of one role, and no right to sign certificates."""
    return (
        builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage_of(role), critical=True)
        .add_extension(x509.ExtendedKeyUsage([role.extended]), critical=False)
    )
