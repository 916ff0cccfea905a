"""BFV (Brakerski 2012; Fan, Vercauteren 2012) in TenSEAL's `sealapi`, for additions alone.

One prime of 60 bits leaves room for 93 additions of full-range slots without any chance of a wrong
result: fresh noise is at most 21, rounding adds less than 1, and 93 * 22 < q / 2t = 2048. A sum
    that decrypts exactly reveals nothing of the noise, so decrypted sums do not weaken the key
    (unlike
CKKS: Li, Micciancio 2021, doi:10.1007/978-3-030-77870-5_23). SEAL enforces the 192-bit table of the
    HomomorphicEncryption.org standard.

Only documented calls are used: BatchEncoder, encrypt_symmetric (which stores the seed of the
ciphertext's random half instead of the half), save, load. They take paths, so bytes pass through a
memory file.
"""

from functools import cache, cached_property
from typing import Any

import numpy as np
import tenseal.sealapi as seal

from src.errors import CiphertextError, RunFailed
from src.secure_aggregation.memory_file import MemoryFile

N = 4096  # slots of a ciphertext
MOST_SUMMANDS = 93
FRESH, SUM = 1, 2  # stored polynomials: a fresh ciphertext's second one is a seed
MOST_BYTES = {FRESH: N * 8 + 512, SUM: 2 * N * 8 + 512}  # of a saved ciphertext


@cache
def context() -> Any:
    """The one SEAL context of this kit. It holds no key."""
    parameters = seal.EncryptionParameters(seal.SCHEME_TYPE.BFV)
    parameters.set_poly_modulus_degree(N)
    parameters.set_coeff_modulus(seal.CoeffModulus.Create(N, [60]))
    parameters.set_plain_modulus(seal.PlainModulus.Batching(N, 48))
    made = seal.SEALContext(parameters, True, seal.SEC_LEVEL_TYPE.TC192)
    if not made.parameters_set():
        raise RunFailed("SEAL refuses the parameters at its 192-bit level.")
    return made


def _parameters():
    return context().first_context_data().parms()


def plain_modulus() -> int:
    """t: a prime of 48 bits."""
    return int(_parameters().plain_modulus().value())


def coefficient_modulus() -> int:
    """q: a prime of 60 bits."""
    return int(_parameters().coeff_modulus()[0].value())


def parameters() -> dict[str, object]:
    """The parameters for which keys and ciphertexts are made, as JSON."""
    return {
        "scheme": "BFV",
        "N": N,
        "q": coefficient_modulus(),
        "t": plain_modulus(),
        "security": "TC192",
    }


class Adder:
    """What needs no key: load, add, save."""

    def __init__(self) -> None:
        self._file = MemoryFile()
        self._evaluator = seal.Evaluator(context())

    def load(self, content: bytes | memoryview, stored: int) -> Any:
        """Load a ciphertext of two polynomials.

        stored: FRESH or SUM, which bounds its length.
        CiphertextError: the bytes are anything else.
        """
        if len(content) > MOST_BYTES[stored]:
            raise CiphertextError(
                f"{len(content)} bytes; a ciphertext has {MOST_BYTES[stored]} at most."
            )
        found = seal.Ciphertext()
        try:
            found.load(context(), self._file.write(content))
        except (RuntimeError, ValueError, MemoryError) as error:
            raise CiphertextError(f"not a ciphertext of these parameters: {error}") from None
        shape = found.size(), found.coeff_modulus_size(), found.poly_modulus_degree()
        if shape != (2, 1, N) or found.is_ntt_form() or found.is_transparent():
            raise CiphertextError(f"expected 2 polynomials of {N} coefficients, got {shape}.")
        return found

    def add(self, to: Any, other: Any) -> None:
        """Add `other` to `to` in place; the caller keeps to MOST_SUMMANDS summands in all."""
        self._evaluator.add_inplace(to, other)

    def save(self, ciphertext: Any) -> bytes:
        """The ciphertext as bytes."""
        return self._file.saved(ciphertext)

    @staticmethod
    def randomness(ciphertext: Any) -> tuple[int, int]:
        """120 bits of the random half; two ciphertexts share them only if they share the seed."""
        return ciphertext[N], ciphertext[N + 1]


class Cipher(Adder):
    """Encryption and decryption with the secret key.

    key: as `new_key` returns it. CiphertextError: it is no such key.
    """

    def __init__(self, key: bytes) -> None:
        super().__init__()
        secret = seal.SecretKey()
        try:
            secret.load(context(), self._file.write(key))
        except (RuntimeError, ValueError) as error:
            raise CiphertextError(f"not a secret key of these parameters: {error}") from None
        finally:
            self._file.write()
        self._encryptor = seal.Encryptor(context(), secret)
        self._decryptor = seal.Decryptor(context(), secret)

    @cached_property
    def _encoder(self):
        return seal.BatchEncoder(context())

    def encrypt(self, slots: np.ndarray) -> bytes:
        """Encrypt slots (N,) uint64 below t, with fresh randomness from the operating system."""
        plain = seal.Plaintext()
        self._encoder.encode(slots.tolist(), plain)
        return self.save(self._encryptor.encrypt_symmetric(plain))

    def decrypt(self, ciphertext: Any) -> np.ndarray:
        """Decrypt to slots (N,) uint64 below t."""
        plain = seal.Plaintext()
        self._decryptor.decrypt(ciphertext, plain)
        return np.array(self._encoder.decode_uint64(plain), np.uint64)


def new_key() -> bytes:
    """Make a secret key, 33 kB."""
    return MemoryFile().saved(seal.KeyGenerator(context()).secret_key())


def self_test(rng: np.random.Generator) -> None:
    """RunFailed unless 93 full-range ciphertexts add up exactly with this machine's TenSEAL."""
    cipher, t = Cipher(new_key()), plain_modulus()
    extremes = np.array([t // 2, t // 2 + 1], np.uint64)  # the largest, and minus the largest
    expected, total = np.zeros(N, object), None
    for summand in range(MOST_SUMMANDS):
        kind = summand % 4  # uniform, all of one extreme, all of the other, both mixed
        slots = (
            rng.integers(0, t, N, np.uint64)
            if kind == 0
            else rng.choice(extremes, N)
            if kind == 3
            else np.full(N, extremes[kind - 1])
        )
        expected += slots.astype(object)
        fresh = cipher.load(cipher.encrypt(slots), FRESH)
        if total is None:
            total = fresh
        else:
            cipher.add(total, fresh)
    found = cipher.decrypt(cipher.load(cipher.save(total), SUM))
    if (found != (expected % t).astype(np.uint64)).any():
        raise RunFailed(
            f"{MOST_SUMMANDS} ciphertexts do not add up on this machine. Is it TenSEAL 0.3.18?"
        )
