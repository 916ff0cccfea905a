"""A patient's patch, and what was learnt from it, in each form in which somebody holds it.

Three synthetic hospitals train one step or a few on one patch each; the first one's patient is the
victim. Encryption is done as in a run: `scripts.local.one_process` has the kit's own sites and
aggregator.
"""

import copy
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from scripts.attack.gradient_inversion import Guess
from src.data.patches import Patches
from src.data.phantom_site import site_for
from src.data.public_cases import synthetic_case
from src.differential_privacy.dp_sgd import private_gradient
from src.secure_aggregation import bfv, framing
from src.secure_aggregation.fixed_point import HEADER_SLOTS, FixedPoint, slots_for, to_signed
from src.secure_aggregation.settings import PAYLOAD

STREAM = 0x76696374  # keeps these patients apart from all others with the same seed
SITES = ("one", "two", "three")
LEARNING_RATE = 0.05
BITS = 24  # of a sum; a slot holds two of them
OTHERS = 8  # patients of the victim's hospital of whom the guess is the mean
SHAPE, SPACING_MM = (64, 64, 64), 2.75  # of the synthetic patients

Patch = tuple[np.ndarray, np.ndarray]  # images (4, X, Y, Z) and regions (3, X, Y, Z), float32


def patch(hospital: int, number: int, seed: int, side: int) -> Patch:
    """A patch around a synthetic patient's tumour, cut as training would cut it, but unvaried."""
    case = synthetic_case(
        f"victim-{hospital}-{number}",
        [STREAM, seed, hospital, number],
        site=site_for(hospital),
        shape=SHAPE,
        spacing_mm=SPACING_MM,
    )
    patches = Patches(size=(side, side, side), tumour_fraction=1.0, augment=False)
    return patches.draw(case, np.random.default_rng([seed, hospital, number]))


def mean_of_others(seed: int, side: int) -> Guess:
    """The mean patch of other patients of that hospital: a guess without any update."""
    drawn = [patch(0, number, seed, side) for number in range(1, 1 + OTHERS)]
    images, regions = (np.mean(arrays, axis=0) for arrays in zip(*drawn, strict=True))
    return Guess(images, regions >= 0.5, 1.0)


@dataclass(frozen=True)
class Victim:
    """The victim, the other sites and what everybody knows.

    network: with the weights from before the update.
    patches: one of each site, the victim's first.
    """

    network: nn.Module
    loss: nn.Module
    patches: Sequence[Patch]

    @property
    def images(self) -> np.ndarray:
        """The victim's images, which the attacker is after."""
        return self.patches[0][0]

    @property
    def regions(self) -> np.ndarray:
        """The victim's regions, bool (3, X, Y, Z)."""
        return self.patches[0][1] > 0.5

    def gradient(self, patch: Patch, network: nn.Module | None = None) -> list[torch.Tensor]:
        """The gradient of the loss on one patch."""
        network = network or self.network
        images, regions = (torch.from_numpy(array)[None] for array in patch)
        value = self.loss(network(images), regions)
        return list(torch.autograd.grad(value, list(network.parameters())))

    def update(self, steps: int, patch: Patch | None = None) -> list[torch.Tensor]:
        """How far plain SGD on one patch moves the weights, with the gradient's sign."""
        trained = copy.deepcopy(self.network)
        for _ in range(steps):
            gradients = self.gradient(patch or self.patches[0], trained)
            with torch.no_grad():
                for parameter, gradient in zip(trained.parameters(), gradients, strict=True):
                    parameter -= LEARNING_RATE * gradient
        pairs = zip(self.network.parameters(), trained.parameters(), strict=True)
        return [(before - after).detach() for before, after in pairs]

    def private(self, noise_multiplier: float, clip_norm: float) -> list[torch.Tensor]:
        """The update of one DP-SGD step in which the victim alone was sampled."""
        parameters = [nn.Parameter(p.detach().clone()) for p in self.network.parameters()]
        private_gradient(
            parameters,
            [self.patches[0]],
            self.gradient,
            clip_norm=clip_norm,
            noise_multiplier=noise_multiplier,
            expected=1.0,
        )
        return [parameter.grad for parameter in parameters if parameter.grad is not None]

    def encrypted(self) -> "Encrypted":
        """One encrypted round of the three sites, one step each."""
        from scripts.local.one_process import Federation

        initial = _flat(self.network.parameters())
        models = {
            site: initial - _flat(self.update(1, patch))
            for site, patch in zip(SITES, self.patches, strict=True)
        }
        sizes = [parameter.numel() for parameter in self.network.parameters()]
        with tempfile.TemporaryDirectory(prefix="attack-") as folder:
            cases: dict[str, int] = dict.fromkeys(SITES, 1)
            federation = Federation(Path(folder), cases, initial, sizes, bits=BITS, most_cases=1)
            try:
                federation.gather()
                for site in SITES:
                    federation.open(site)
                    federation.aggregator.take(site, 0, federation.answer(site, models[site]))
                upload = federation.sites[SITES[0]].kept()
                assert upload is not None
                void = federation.aggregator.close(SITES)
                assert void is None, void
                federation.aggregator.advance()
                mean = federation.open(SITES[0])
            finally:
                federation.close()
        return Encrypted(upload, federation.keys.he, initial, initial - mean, self.network)


@dataclass(frozen=True)
class Encrypted:
    """What is held after an encrypted round.

    upload: the victim's, as it arrived.
    key: the sites' encryption key.
    initial: the model before the round, which everybody knows.
    mean: the update of all sites together.
    """

    upload: bytes
    key: bytes
    initial: np.ndarray
    mean: np.ndarray
    network: nn.Module

    def as_numbers(self) -> list[torch.Tensor]:
        """The ciphertexts' coefficients, one for each value: all that the aggregator has."""
        numbers = [
            [ciphertext[i] for i in range(2 * bfv.N)]
            for ciphertext in self._ciphertexts(bfv.Adder())
        ]
        return self._shaped(np.array(numbers).ravel() / bfv.coefficient_modulus() - 0.5)

    def opened(self) -> list[torch.Tensor]:
        """The upload decrypted with the key, as a site in league with the aggregator can do.

        The masks remain.
        """
        modulus = bfv.plain_modulus()
        cipher = bfv.Cipher(self.key)
        slots = np.stack([cipher.decrypt(found) for found in self._ciphertexts(cipher)])
        signed = to_signed(slots[:, :PAYLOAD].ravel()[HEADER_SLOTS:], modulus)
        half = 1 << (BITS - 1)
        low = ((signed + half) & (2 * half - 1)) - half
        fields = np.stack([low, (signed - low) >> BITS], axis=1).ravel()[: self.initial.size]
        sizes = [parameter.numel() for parameter in self.network.parameters()]
        exponents = FixedPoint(BITS, modulus, tuple(sizes)).exponents(self.initial)
        share = fields * np.repeat(2.0**exponents, sizes)  # of the sum, were it not for the masks
        return self._shaped(self.initial / len(SITES) - share)

    def summed(self) -> list[torch.Tensor]:
        """The mean update, which every site and everybody who gets the model can work out."""
        return self._shaped(self.mean)

    def _ciphertexts(self, adder: bfv.Adder) -> Iterator:
        count = -(-slots_for(self.initial.size, BITS) // PAYLOAD)
        most = bfv.MOST_BYTES[bfv.FRESH]
        for record in framing.records(self.upload, count=count, most_bytes=most):
            yield adder.load(record, bfv.FRESH)

    def _shaped(self, numbers: np.ndarray) -> list[torch.Tensor]:
        tensors, start = [], 0
        for parameter in self.network.parameters():
            piece = numbers[start : start + parameter.numel()]
            tensors.append(torch.from_numpy(piece.astype(np.float32)).reshape(parameter.shape))
            start += parameter.numel()
        return tensors


def _flat(tensors) -> np.ndarray:
    return torch.cat([tensor.detach().flatten() for tensor in tensors]).numpy()
