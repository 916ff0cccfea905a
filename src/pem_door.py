"""The door for X.509 in PEM: certificates, requests and revocation lists are read or refused here.

`cryptography` reads much of them when it is first asked for, and raises exceptions of six families.
So every part that this kit asks for is read here, and `WireError` says why it cannot be.
"""

from collections.abc import Callable, Iterable
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from src.errors import WireError

MALFORMED = (
    ValueError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.ExtensionNotFound,
    x509.UnsupportedGeneralNameType,
)
Found = TypeVar("Found")


def certificate(content: bytes) -> x509.Certificate:
    """The first certificate in the text. WireError: there is none, or a part cannot be read."""
    return _read(x509.load_pem_x509_certificate, content, _of_certificate)


def certificates(content: bytes) -> list[x509.Certificate]:
    """All certificates in the text. WireError: there is none, or a part cannot be read."""

    def parts(found: Iterable[x509.Certificate]) -> list[object]:
        return [_of_certificate(each) for each in found]

    return _read(x509.load_pem_x509_certificates, content, parts)


def request(content: bytes) -> x509.CertificateSigningRequest:
    """The certificate request in the text. WireError: there is none, or a part cannot be read."""
    return _read(
        x509.load_pem_x509_csr,
        content,
        lambda found: (found.subject, found.extensions, found.public_key(), found.signature),
    )


def revocation_list(content: bytes) -> x509.CertificateRevocationList:
    """The revocation list in the text, which has a number (RFC 5280, 5.2.3).

    WireError: there is none, a part cannot be read, or it has no number.
    """
    return _read(
        x509.load_pem_x509_crl,
        content,
        lambda found: (
            found.issuer,
            found.extensions.get_extension_for_class(x509.CRLNumber),
            [(entry.serial_number, entry.extensions) for entry in found],
        ),
    )


def _of_certificate(found: x509.Certificate) -> object:
    return found.subject, found.issuer, found.extensions, found.public_key()


def _read(
    load: Callable[[bytes], Found], content: bytes, parts: Callable[[Found], object]
) -> Found:
    try:
        found = load(content)
        parts(found)
    except MALFORMED as error:
        raise WireError(f"{error} ({type(error).__name__})") from None
    return found
