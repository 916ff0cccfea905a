"""A request as it comes to the desk: what is in the file, and whether it may be signed."""

from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.x509.oid import ExtendedKeyUsageOID

from certs.policy import Policy
from src import pem_door
from src.errors import Refused, WireError
from src.trust import fingerprint
from src.trust.carried import ORIGINAL, unpacked
from src.trust.certificate import AGGREGATOR, SITE, Role, dns_names, subject

LARGEST_BYTES = 64 * 1024
REQUEST = b"-----BEGIN CERTIFICATE REQUEST"
ASKS_FOR = {SITE: ExtendedKeyUsageOID.CLIENT_AUTH, AGGREGATOR: ExtendedKeyUsageOID.SERVER_AUTH}


@dataclass(frozen=True)
class Request:
    """What a file asks for. `check` compares it with the enrolment and the policy.

    path: the file.
    name, role: what the request asks for.
    speaking: the request for the certificate with which the party speaks over TLS.
    encryption: the request for a site's second key; None for an aggregator.
    """

    path: Path
    name: str
    role: Role
    speaking: x509.CertificateSigningRequest
    encryption: x509.CertificateSigningRequest | None

    @property
    def sha256(self) -> str:
        """The fingerprint of all requests in the file, which both ends read to each other."""
        found = (self.speaking, self.encryption) if self.encryption else (self.speaking,)
        return fingerprint.of_requests(*found)


def read(path: Path) -> Request:
    """Read a site's package `col_NAME_to_agg_cert_request.zip`, or the aggregator's `agg_NAME.csr`.

    Refused: it is no such file, it does not hold exactly one request for each purpose, or file name
        and content name different parties.
    """
    begin = path.read_bytes()[:64].lstrip()
    if path.suffix == ".csr" or begin.startswith(REQUEST):  # renamed on its way: .csr.txt
        speaking, encryption = _load(path.read_bytes(), path), None
        role, stem = AGGREGATOR, path.name.partition(".csr")[0].removeprefix("agg_")
    else:
        files = unpacked(path, "a request package", most_bytes=LARGEST_BYTES)
        names = [name for name in files if name.startswith("col_") and name.endswith(".csr")]
        others = sorted({*files} - {*names, "encryption.csr"})
        if len(names) != 1 or "encryption.csr" not in files or others:
            raise Refused(
                f"{path}: expected one col_NAME.csr and encryption.csr, got "
                f"{', '.join(sorted(files))}. The site makes it with "
                "`fx collaborator generate-cert-request` and "
                "`python -m src request-encryption-key`, in a folder without older requests. "
                f"{ORIGINAL}"
            )
        speaking, encryption = _load(files[names[0]], path), _load(files["encryption.csr"], path)
        role, stem = SITE, names[0].removeprefix("col_").removesuffix(".csr")
    return Request(path, stem, role, speaking, encryption)


def check(request: Request, policy: Policy) -> None:
    """Refused unless every request in the file is well signed and asks for just this name and role.

    The two requests of a site must be for different keys, each as long as the policy demands.
    """
    for what, csr in (("", request.speaking), ("the encryption key: ", request.encryption)):
        if csr is None:
            continue
        place = f"{request.path}: {what}"
        if not csr.is_signature_valid:
            raise Refused(f"{place}its own signature is wrong: it was altered on its way.")
        key = csr.public_key()
        if not isinstance(key, RSAPublicKey) or key.key_size < policy.key_bits:
            raise Refused(f"{place}expected an RSA key of {policy.key_bits} bits or more.")
        found = {subject(csr), *dns_names(csr)}
        if found != {request.name} or len(dns_names(csr)) != 1:
            raise Refused(
                f"{place}it asks for {', '.join(sorted(map(repr, found)))}, expected the name "
                f"{request.name!r} and no other. Somebody tries to be somebody else, or the file "
                "was renamed. Sign nothing; call the sender."
            )
    if request.encryption and request.encryption.public_key() == request.speaking.public_key():
        raise Refused(f"{request.path}: both requests are for one key; one key has one purpose.")
    asked = request.speaking.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    if list(asked) != [ASKS_FOR[request.role]]:
        raise Refused(f"{request.path}: it asks for another role than {request.role.name}.")


def _load(content: bytes, path: Path) -> x509.CertificateSigningRequest:
    """The request that PEM bytes hold. Refused: they hold none."""
    try:
        return pem_door.request(content)
    except WireError as error:
        raise Refused(f"{path}: not a certificate request: {error}") from None
