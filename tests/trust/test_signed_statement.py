"""Signed statements: for one purpose, unaltered, and as others read DSSE."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from securesystemslib.dsse import Envelope
from securesystemslib.signer import SSlibKey

from src.errors import Refused
from src.trust import signed_statement
from src.trust.certificate import read_certificate, read_key


@pytest.fixture
def one(parties):
    path = parties / "one/cert/client/col_one.crt"
    certificate = read_certificate(path)
    return read_key(path.with_suffix(".key"), certificate), certificate


def test_what_was_signed_comes_back(one):
    signed = signed_statement.sign("approval", {"b": 1, "a": [2]}, *one)
    assert signed_statement.verify("approval", signed, one[1], name="x") == {"a": [2], "b": 1}


def test_another_implementation_verifies_it(one):
    key, certificate = one
    signed = json.loads(signed_statement.sign("approval", {"a": 1}, key, certificate))
    read = Envelope.from_dict(json.loads(json.dumps(signed)))
    keyid = signed["signatures"][0]["keyid"]
    public = SSlibKey.from_crypto(certificate.public_key(), keyid, "rsassa-pss-sha256")
    read.verify([public], 1)
    expected = signed_statement.pre_authentication_encoding(read.payload_type, read.payload)
    assert read.pae() == expected


def test_the_encoding_is_the_specifications():
    # the example of the DSSE protocol document, v1.0
    assert signed_statement.pre_authentication_encoding(
        "http://example.com/HelloWorld", b"hello world"
    ) == (b"DSSEv1 29 http://example.com/HelloWorld 11 hello world")


def test_a_signature_for_one_purpose_is_worth_nothing_for_another(one):
    signed = signed_statement.sign("audit", {"a": 1}, *one)
    with pytest.raises(Refused, match="expected a signed approval"):
        signed_statement.verify("approval", signed, one[1], name="x")
    relabelled = signed.replace(b"federation.audit", b"federation.approval")
    with pytest.raises(Refused, match="signature is not by"):
        signed_statement.verify("approval", relabelled, one[1], name="x")


def test_another_parties_signature_is_refused(one, parties):
    two = read_certificate(parties / "two/cert/client/col_two.crt")
    signed = signed_statement.sign("approval", {"a": 1}, *one)
    with pytest.raises(Refused, match="signature is not by"):
        signed_statement.verify("approval", signed, two, name="x")


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b'{"payload": 5}', b"\xff\xfe"])
def test_what_is_no_envelope_is_refused(one, content):
    with pytest.raises(Refused, match="no signed statement"):
        signed_statement.verify("approval", content, one[1], name="x")


@given(place=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_no_flipped_bit_gives_another_statement(signed_by_one, place, bit):
    signed, certificate = signed_by_one
    altered = bytearray(signed)
    altered[place % len(signed)] ^= 1 << bit
    try:
        found = signed_statement.verify("approval", bytes(altered), certificate, name="x")
    except Refused:
        return
    assert found == {"a": 1}  # e.g. a bit in the key id, which only names the key


@pytest.fixture(scope="module")
def signed_by_one(ceremony_held):
    path = ceremony_held / "one/cert/client/col_one.crt"
    certificate = read_certificate(path)
    key = read_key(path.with_suffix(".key"), certificate)
    return signed_statement.sign("approval", {"a": 1}, key, certificate), certificate
