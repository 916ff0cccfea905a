"""X.509 in PEM: every part is read, or refused in one kind of error."""

import base64
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from src import pem_door
from src.errors import WireError

KEY = ec.generate_private_key(ec.SECP256R1())
NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "desk")])
NOW = datetime(2026, 1, 1, tzinfo=UTC)
DOORS = (
    pem_door.certificate,
    pem_door.certificates,
    pem_door.request,
    pem_door.revocation_list,
)


def a_list(number: bool = True) -> bytes:
    builder = x509.CertificateRevocationListBuilder(NAME, NOW, NOW + timedelta(days=1))
    if number:
        builder = builder.add_extension(x509.CRLNumber(7), critical=False)
    return builder.sign(KEY, hashes.SHA256()).public_bytes(Encoding.PEM)


def with_version(pem: bytes, version: int) -> bytes:
    """The list with another version in its bytes: INTEGER 1 (v2) comes first of all."""
    label, *lines, end = pem.decode().strip().splitlines()
    der = bytearray(base64.b64decode("".join(lines)))
    place = der.index(b"\x02\x01\x01")
    der[place + 2] = version
    text = base64.encodebytes(bytes(der)).decode()
    return f"{label}\n{text}{end}\n".encode()


def test_a_revocation_list_is_read():
    found = pem_door.revocation_list(a_list())
    assert found.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number == 7


def test_a_revocation_list_of_an_unknown_version_is_refused():
    """`cryptography` raises InvalidVersion, which is no ValueError; found by 25,000 inputs."""
    with pytest.raises(WireError, match="27 is not a valid CRL version"):
        pem_door.revocation_list(with_version(a_list(), 27))


def test_a_revocation_list_without_a_number_is_refused():
    with pytest.raises(WireError, match="ExtensionNotFound"):
        pem_door.revocation_list(a_list(number=False))


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("content", [b"", b"-----BEGIN", b"\xff\xfe", b"-----BEGIN X-----\nAA=="])
def test_what_is_no_pem_is_refused(door, content):
    with pytest.raises(WireError):
        door(content)


def test_a_part_that_is_read_late_is_refused_at_the_door():
    """A certificate twice of one extension loads well, and fails where it is asked for them."""
    basic = x509.BasicConstraints(ca=False, path_length=None)
    builder = (
        x509.CertificateBuilder()
        .subject_name(NAME)
        .issuer_name(NAME)
        .public_key(KEY.public_key())
        .serial_number(1)
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(days=1))
        .add_extension(basic, critical=False)
        .add_extension(x509.OCSPNoCheck(), critical=False)
    )
    der = bytearray(builder.sign(KEY, hashes.SHA256()).public_bytes(Encoding.DER))
    again, other = bytes.fromhex("0603551d13"), bytes.fromhex("0603551d0f")
    assert again in der
    malformed = bytes(der).replace(again, other)  # key usage, whose value is none
    text = base64.encodebytes(malformed).decode()
    pem = f"-----BEGIN CERTIFICATE-----\n{text}-----END CERTIFICATE-----\n".encode()
    x509.load_pem_x509_certificate(pem)
    for door in (pem_door.certificate, pem_door.certificates):
        with pytest.raises(WireError):
            door(pem)
