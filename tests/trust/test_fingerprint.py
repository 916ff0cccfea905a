"""Fingerprints: what openssl prints, and words that tell differences."""

import subprocess

from hypothesis import given
from hypothesis import strategies as st

from src.trust import fingerprint
from src.trust.certificate import read_certificate

DIGEST = st.binary(min_size=32, max_size=32).map(bytes.hex)


def test_a_certificates_fingerprint_is_openssls(parties):
    path = parties / "one/cert/client/col_one.crt"
    command = ["openssl", "x509", "-in", path, "-noout", "-fingerprint", "-sha256"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert shown.strip().split("=")[1].replace(":", "").lower() == fingerprint.of_certificate(
        read_certificate(path)
    )


def test_words_are_those_of_bip39():
    assert fingerprint.words("00" * 32) == "abandon " * 11 + "about"  # BIP-39's own test vector
    assert fingerprint.words("7f" * 32) == (
        "legal winner thank year wave sausage worth useful legal winner thank yellow"
    )


@given(DIGEST, DIGEST)
def test_words_differ_where_the_first_half_differs(one, other):
    assert (fingerprint.words(one) == fingerprint.words(other)) == (one[:32] == other[:32])


@given(DIGEST)
def test_words_are_recognised_as_they_are_spoken(digest):
    heard = "  ".join(fingerprint.words(digest).upper().split())
    assert fingerprint.same_words(heard, digest)
    assert not fingerprint.same_words(heard.rsplit(maxsplit=1)[0], digest)
