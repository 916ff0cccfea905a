"""BFV through TenSEAL: exact sums to the documented limit, and strict about bytes."""

import numpy as np
import pytest

from src.errors import CiphertextError
from src.secure_aggregation import bfv
from src.secure_aggregation.bfv import FRESH, SUM, Adder, Cipher

T = bfv.plain_modulus()


@pytest.fixture(scope="module")
def cipher():
    return Cipher(bfv.new_key())


@pytest.fixture(scope="module")
def slots():
    return np.random.default_rng(0).integers(0, T, bfv.N, np.uint64)


def test_the_parameters_are_those_that_the_proof_needs():
    q = bfv.coefficient_modulus()
    assert (q.bit_length(), T.bit_length(), bfv.N) == (60, 48, 4096)
    assert T % (2 * bfv.N) == 1  # a batching prime
    room = q // (2 * T)
    assert room > bfv.MOST_SUMMANDS * 22  # noise of 93 fresh ciphertexts, at its largest
    assert bfv.parameters()["security"] == "TC192"


def test_93_full_range_ciphertexts_add_up_exactly():
    bfv.self_test(np.random.default_rng(1))


def test_too_many_summands_do_go_wrong_so_the_self_test_can_fail(cipher, slots):
    one = cipher.encrypt(slots)
    total = cipher.load(one, FRESH)
    for _ in range(299):
        cipher.add(total, cipher.load(one, FRESH))
    expected = (slots.astype(object) * 300 % T).astype(np.uint64)
    assert (cipher.decrypt(total) != expected).any()


def test_an_adder_without_a_key_adds_what_it_cannot_read(cipher, slots):
    adder = Adder()
    total = adder.load(cipher.encrypt(slots), FRESH)
    adder.add(total, adder.load(cipher.encrypt(slots), FRESH))
    saved = adder.save(total)
    assert not hasattr(adder, "decrypt")
    np.testing.assert_array_equal(cipher.decrypt(cipher.load(saved, SUM)), slots * 2 % T)


def test_encryption_is_random_and_its_randomness_comparable(cipher, slots):
    first, second = cipher.encrypt(slots), cipher.encrypt(slots)
    assert first != second
    again = cipher.randomness(cipher.load(first, FRESH))
    assert cipher.randomness(cipher.load(first, FRESH)) == again
    assert cipher.randomness(cipher.load(second, FRESH)) != again


def test_another_key_gives_noise(cipher, slots):
    other = Cipher(bfv.new_key())
    found = other.decrypt(other.load(cipher.encrypt(slots), FRESH))
    assert (found == slots).mean() < 0.01


@pytest.mark.parametrize(
    "damage",
    [
        lambda b: b[: len(b) // 2],
        lambda b: b"",
        lambda b: b"x" * 1000,
        lambda b: b[:100] + bytes([b[100] ^ 1]) + b[101:],
        lambda b: b + b"\0" * 2000,
        lambda b: b"\x5e\xa1" + b[2:][::-1],
    ],
)
def test_damaged_ciphertexts_are_refused(cipher, slots, damage):
    with pytest.raises(CiphertextError):
        cipher.load(damage(cipher.encrypt(slots)), FRESH)


def test_a_ciphertext_of_other_parameters_or_of_three_polynomials_is_refused(cipher, slots):
    import tenseal.sealapi as seal

    parameters = seal.EncryptionParameters(seal.SCHEME_TYPE.BFV)
    parameters.set_poly_modulus_degree(2048)
    parameters.set_coeff_modulus(seal.CoeffModulus.Create(2048, [54]))
    parameters.set_plain_modulus(1 << 20)
    foreign = seal.SEALContext(parameters, True, seal.SEC_LEVEL_TYPE.TC128)
    encryptor = seal.Encryptor(foreign, seal.KeyGenerator(foreign).secret_key())
    content = bfv.MemoryFile().saved(encryptor.encrypt_symmetric(seal.Plaintext("1")))
    with pytest.raises(CiphertextError, match="not a ciphertext of these"):
        cipher.load(content, FRESH)

    square = cipher.load(cipher.encrypt(slots), FRESH)
    cipher._evaluator.square_inplace(square)  # three polynomials
    with pytest.raises(CiphertextError):
        cipher.load(cipher.save(square), SUM)


def test_what_is_no_key_is_refused():
    with pytest.raises(CiphertextError, match="not a secret key"):
        Cipher(b"no key")
