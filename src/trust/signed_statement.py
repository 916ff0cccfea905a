"""Signed statements are DSSE envelopes (Dead Simple Signing Envelope v1.0, secure-systems-lab).

The signature covers the statement's type and its exact bytes, so a signature made for one purpose
is worth nothing for another. RSA-PSS with SHA-256, salt of 32 bytes.
"""

import base64
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

from src.errors import Refused, WireError
from src.fields import Fields
from src.strict import base64_bytes, json_value
from src.trust import fingerprint

TYPE = "application/vnd.glioma-federation.{}+json"
MOST_BYTES = 16 << 20  # of a payload; the largest is the member list of a large federation
_PSS = padding.PSS(padding.MGF1(hashes.SHA256()), 32)


def pre_authentication_encoding(payload_type: str, payload: bytes) -> bytes:
    """DSSE's PAE: unambiguous bytes of type and payload."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def sign(kind: str, statement: Any, key: RSAPrivateKey, certificate: x509.Certificate) -> bytes:
    """The envelope of a JSON statement, signed by the holder of `certificate`.

    kind: the purpose; it becomes part of the payload type.
    """
    payload = json.dumps(statement, sort_keys=True, separators=(",", ":")).encode()
    payload_type = TYPE.format(kind)
    signature = key.sign(pre_authentication_encoding(payload_type, payload), _PSS, hashes.SHA256())
    envelope = {
        "payloadType": payload_type,
        "payload": base64.b64encode(payload).decode(),
        "signatures": [
            {
                "keyid": fingerprint.of_certificate(certificate),
                "sig": base64.b64encode(signature).decode(),
            }
        ],
    }
    return json.dumps(envelope, indent=1).encode()


@dataclass(frozen=True)
class _Envelope:
    """What an envelope says, unverified. keyid: SHA-256 of the signer's certificate, as claimed."""

    payload_type: str
    payload: bytes
    keyid: str
    signature: bytes

    @classmethod
    def parse(cls, content: bytes) -> "_Envelope":
        """WireError: it is no envelope with exactly one signature."""
        fields = Fields(json_value(content)).only("payloadType", "payload", "signatures")
        signatures = fields.entries("signatures", most=1)
        if not signatures:
            raise WireError("nobody has signed it.")
        signature = Fields(signatures[0]).only("keyid", "sig")
        return cls(
            fields.text("payloadType", most=200),
            base64_bytes(fields.text("payload", most=MOST_BYTES)),
            signature.hex("keyid", 32),
            base64_bytes(signature.text("sig")),
        )


def verify(kind: str, envelope: bytes, certificate: x509.Certificate, *, name: str) -> Any:
    """The statement, if the holder of `certificate` has signed it as this kind.

    name: what messages call the envelope.
    Refused: it is no envelope, of another kind, or its signature is another's or wrong.
    """
    try:
        found = _Envelope.parse(envelope)
    except WireError as error:
        raise Refused(f"{name} is no signed statement: {error} Get it anew.") from None
    if found.payload_type != TYPE.format(kind):
        raise Refused(f"{name}: expected a signed {kind}, got {found.payload_type!a}.")
    key = certificate.public_key()
    assert isinstance(key, RSAPublicKey)
    try:
        authenticated = pre_authentication_encoding(found.payload_type, found.payload)
        key.verify(found.signature, authenticated, _PSS, hashes.SHA256())
    except InvalidSignature:
        raise Refused(
            f"{name}: the signature is not by the holder of certificate "
            f"{fingerprint.of_certificate(certificate)[:16]}…, or the content was altered. "
            "Get it anew from its sender."
        ) from None
    try:
        return json_value(found.payload)
    except WireError as error:
        raise Refused(f"{name} is signed, but what was signed is {error}") from None


def signer(envelope: bytes) -> str:
    """SHA-256 of the certificate that the envelope claims; only `verify` proves the claim.

    Refused: it is no envelope.
    """
    try:
        return _Envelope.parse(envelope).keyid
    except WireError as error:
        raise Refused(f"no signed statement: {error}") from None


def read(kind: str, path: Path, certificate: x509.Certificate) -> Any:
    """The statement in a file, verified as by `verify`. Refused: also when there is no file."""
    if not path.is_file():
        raise Refused(f"{path} is missing. It comes with the certificates from the desk.")
    return verify(kind, path.read_bytes(), certificate, name=str(path))
