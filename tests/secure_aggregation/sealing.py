"""A small encrypted federation, and what its models should become."""

import struct
from pathlib import Path

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from scripts.local import one_process
from src.secure_aggregation import bfv

SEAL = b"\x5e\xa1\x10\x04\x03"  # how SEAL 4.3 begins what it saves
PLAIN, ZSTD = 0, 2
BLOCK = 1 << 17  # the largest of zstd

THREE = {"one": 5, "two": 2, "three": 4}  # sites and their cases
FOUR = THREE | {"four": 3}


class Federation(one_process.Federation):
    """size: values of the model, in two tensors."""

    def __init__(
        self, folder: Path, cases: dict[str, int], size: int = 20, **settings: object
    ) -> None:
        self.size = size
        self.mask_keys: dict[str, X25519PrivateKey] = {}  # of the opened round, looked at in memory
        initial = np.linspace(-1, 1, size).astype(np.float32)
        sizes = [size // 2, size - size // 2]
        super().__init__(folder, cases, initial, sizes, **({"most_cases": 10} | settings))

    def open(self, name: str) -> np.ndarray:
        """The open round's model; the site's mask key is remembered, before it is used up."""
        model = super().open(name)
        state = self.sites[name].state
        if state.announcement(state.round):
            public = state.announcements[str(state.round)]["mask_key"]
            private = (state.keys.folder / public).read_bytes()
            self.mask_keys[name] = X25519PrivateKey.from_private_bytes(private)
        return model


def models_of(federation: Federation, seed: int = 0) -> dict[str, np.ndarray]:
    """A trained model for each site: the initial one, and something of its own."""
    rng = np.random.default_rng(seed)
    return {
        name: federation.initial + rng.normal(0, 0.1, federation.size).astype(np.float32)
        for name in federation.cases
    }


def mean_of(federation: Federation, models: dict[str, np.ndarray], *absent: str) -> np.ndarray:
    """The weighted mean in float64."""
    present = {name: n for name, n in federation.cases.items() if name not in absent}
    total = sum(present.values())
    return sum(n / total * models[name].astype(np.float64) for name, n in present.items())


def bound_of(federation: Federation, *absent: str) -> float:
    """n * step * W / count, with the steps of the initial model (its reach is 4)."""
    present = {name: n for name, n in federation.cases.items() if name not in absent}
    step = 4 * 2.0 ** -(federation.encryption.bits - 1)
    total = federation.encryption.total(federation.cases)
    return len(present) * step * total / sum(present.values())


def bombs(fresh: bytes, unpacked: int = 1 << 30) -> dict[str, bytes]:
    """Good beginnings of a ciphertext that unpack to `unpacked` zeros, in what an upload may have.

    fresh: a ciphertext of these parameters. Each claims something else, to get as far as it can.
    """
    parameters = bfv.Adder().load(fresh, bfv.FRESH).parms_id()

    def told(polynomials: int) -> bytes:
        return struct.pack("<4Q?3QdQ", *parameters, False, polynomials, bfv.N, 1, 1.0, 1)

    def numbers(count: int) -> bytes:
        return SEAL + bytes([PLAIN, 0, 0]) + struct.pack("<QQ", 24 + 8 * count, count)

    def bomb(start: bytes) -> bytes:
        return _saved(_zstd(start, unpacked), ZSTD)

    nested = _saved(_zstd(struct.pack("<Q", unpacked // 8), unpacked), ZSTD)
    return {
        "two polynomials of zeros, and more": bomb(told(2) + numbers(2 * bfv.N)),
        "no seed": bomb(told(2) + numbers(bfv.N)),
        "sixteen polynomials": bomb(told(16) + numbers(16 * bfv.N)),
        "as many polynomials as fit": bomb(told(unpacked // bfv.N // 8) + numbers(unpacked // 8)),
        "more numbers than polynomials": bomb(told(2) + numbers(unpacked // 8)),
        "a bomb in the bomb": _saved(told(2) + nested, PLAIN),
    }


def _saved(body: bytes, how: int) -> bytes:
    return SEAL + bytes([how, 0, 0]) + struct.pack("<Q", 16 + len(body)) + body


def _zstd(start: bytes, zeros: int) -> bytes:
    """A zstd frame (RFC 8878) of `start` and runs of zeros, four bytes for each 128 kB."""
    runs = zeros // BLOCK
    blocks = [(len(start) << 3).to_bytes(3, "little") + start]
    blocks += [
        (BLOCK << 3 | 2 | (n == runs - 1)).to_bytes(3, "little") + b"\0" for n in range(runs)
    ]
    return b"\x28\xb5\x2f\xfd\x00\x38" + b"".join(blocks)
