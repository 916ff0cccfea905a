"""Fingerprints that people can compare: SHA-256, in hex and as twelve words for the telephone."""

import hashlib
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from mnemonic import Mnemonic

WORD_BYTES = 16  # 128 of the 256 bits: 12 words. A second key with the same words costs 2^128.


def of_certificate(certificate: x509.Certificate) -> str:
    """SHA-256 of the DER bytes, in hex, as `openssl x509 -fingerprint -sha256` prints it."""
    return hashlib.sha256(certificate.public_bytes(Encoding.DER)).hexdigest()


def of_requests(*requests: x509.CertificateSigningRequest) -> str:
    """SHA-256 over one or several requests (each hashed by itself), in hex."""
    parts = [hashlib.sha256(request.public_bytes(Encoding.DER)).digest() for request in requests]
    return hashlib.sha256(b"".join(parts)).hexdigest()


def of_file(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def words(sha256_hex: str) -> str:
    """The first 128 bits as twelve words of BIP-39's English list.

    No two words of the list share their first four letters, and the last word carries a checksum.
    So a misheard word is noticed 15 times in 16 even before the words are compared.
    """
    return Mnemonic("english").to_mnemonic(bytes.fromhex(sha256_hex)[:WORD_BYTES])


def same_words(heard: str, sha256_hex: str) -> bool:
    """Whether the words that were heard are this fingerprint's; case and spaces do not count."""
    return heard.lower().split() == words(sha256_hex).split()
