"""A site's encryption key is its second key, to which the desk encrypts. It never signs.

(The first key, with which the site speaks, signs and never decrypts.)
"""

import zipfile
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from src import no_dump, pem_door
from src.errors import Refused
from src.files import write_atomically, write_secret
from src.trust import fingerprint

FOLDER = Path("cert/encryption")
ENTRY = "encryption.csr"


def request(workspace: Path, name: str) -> str:
    """Make the encryption key and add its request to the package that `fx` has made.

    A key that is there already is kept. The result is the package's fingerprint, which the desk
    compares.
    Refused: `fx collaborator generate-cert-request` has not been run here for this name.
    """
    package = workspace / f"col_{name}_to_agg_cert_request.zip"
    speaking = workspace / "cert" / "client" / f"col_{name}.csr"
    for path in (package, speaking):
        if not path.is_file():
            raise Refused(
                f"{path} is missing. First: fx collaborator generate-cert-request -n {name}"
            )
    csr = _request(_key(workspace / FOLDER / f"col_{name}.key"), name)
    pem = csr.public_bytes(serialization.Encoding.PEM)
    first = speaking.read_bytes()
    part = package.with_name(f".{package.name}.part")
    with zipfile.ZipFile(part, "w") as archive:
        archive.writestr(speaking.name, first)
        archive.writestr(ENTRY, pem)
    part.replace(package)
    write_atomically(workspace / FOLDER / f"col_{name}.csr", pem)
    return fingerprint.of_requests(pem_door.request(first), csr)


def _key(path: Path) -> rsa.RSAPrivateKey:
    no_dump.forbid()
    if path.is_file():
        key = serialization.load_pem_private_key(path.read_bytes(), None)
        assert isinstance(key, rsa.RSAPrivateKey)
        return key
    key = rsa.generate_private_key(65537, 3072)
    write_secret(
        path,
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    )
    return key


def _request(key: rsa.RSAPrivateKey, name: str) -> x509.CertificateSigningRequest:
    return (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA384())
    )
