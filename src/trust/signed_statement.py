"""Signed statements are DSSE envelopes (Dead Simple Signing Envelope v1.0, secure-systems-lab).

The signature covers the statement's type and its exact bytes, so a signature made for one purpose
is worth nothing for another. RSA-PSS with SHA-256, salt of 32 bytes.
"""

import base64
import binascii
import json
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

from src.errors import Refused
from src.trust import fingerprint

TYPE = "application/vnd.glioma-federation.{}+json"
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


def verify(kind: str, envelope: bytes, certificate: x509.Certificate, *, name: str) -> Any:
    """The statement, if the holder of `certificate` has signed it as this kind.

    name: what messages call the envelope.
    Refused: it is no envelope, of another kind, or its signature is another's or wrong.
    """
    try:
        content = json.loads(envelope)
        payload = base64.b64decode(content["payload"], validate=True)
        payload_type = content["payloadType"]
        (signature,) = content["signatures"]
        signed = base64.b64decode(signature["sig"], validate=True)
    except (ValueError, KeyError, TypeError, binascii.Error) as error:
        raise Refused(f"{name} is no signed statement ({error!r}). Get it anew.") from None
    if payload_type != TYPE.format(kind):
        raise Refused(f"{name}: expected a signed {kind}, got {payload_type}.")
    key = certificate.public_key()
    assert isinstance(key, RSAPublicKey)
    try:
        key.verify(
            signed, pre_authentication_encoding(payload_type, payload), _PSS, hashes.SHA256()
        )
    except InvalidSignature:
        raise Refused(
            f"{name}: the signature is not by the holder of certificate "
            f"{fingerprint.of_certificate(certificate)[:16]}…, or the content was altered. "
            "Get it anew from its sender."
        ) from None
    return json.loads(payload)


def signer(envelope: bytes) -> str:
    """SHA-256 of the certificate that the envelope claims; only `verify` proves the claim.

    Refused: it is no envelope.
    """
    try:
        (signature,) = json.loads(envelope)["signatures"]
        return str(signature["keyid"])
    except (ValueError, KeyError, TypeError) as error:
        raise Refused(f"no signed statement ({error!r}).") from None


def read(kind: str, path: Path, certificate: x509.Certificate) -> Any:
    """The statement in a file, verified as by `verify`. Refused: also when there is no file."""
    if not path.is_file():
        raise Refused(f"{path} is missing. It comes with the certificates from the desk.")
    return verify(kind, path.read_bytes(), certificate, name=str(path))
