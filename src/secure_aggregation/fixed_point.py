"""Fixed point: a model as small integers, several in one slot, so that adding slots adds models.

A field of B bits holds the weighted SUM over the sites, within +-(2^(B-1) - 1), so that no sum of
honest sites carries into its neighbour. Steps are powers of two, one for each tensor, and follow
from the current model alone. Rounding is stochastic: a change smaller than a step survives on
average.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from src import require
from src.errors import RunFailed, SettingError, WireError

SLOT_BITS = 48
HEADER_SLOTS = 512  # the case count, then one exponent a tensor
BLOCK = 1 << 16  # values at a time, so that they stay in the processor's cache
HEADROOM = 4.0  # how far a tensor may grow beyond its largest value in one round
SMALL_TENSOR = 1024  # values; biases and norms, which begin at 0 or 1 and move by about as much
SMALLEST = {True: 1.0, False: 1 / 16}  # small tensor, large: may grow to HEADROOM times this


@dataclass(frozen=True)
class FixedPoint:
    """The encoding of one network's model.

    bits: of a field's sum: 24 (two fields a slot), 16 (three) or 12 (four).
    modulus: the prime t of the slots.
    sizes: the number of values of each tensor, in order.
    """

    bits: int
    modulus: int
    sizes: tuple[int, ...]

    def __post_init__(self) -> None:
        require.one_of("bits", self.bits, (24, 16, 12))
        if not 0 < len(self.sizes) < HEADER_SLOTS:
            raise SettingError(
                f"The network has {len(self.sizes)} tensors; 1 to {HEADER_SLOTS - 1} fit."
            )

    @property
    def fields(self) -> int:
        """How many values one slot holds."""
        return SLOT_BITS // self.bits

    @property
    def size(self) -> int:
        """How many values the model has."""
        return sum(self.sizes)

    @property
    def slots(self) -> int:
        """How many slots a model fills, its header included."""
        return slots_for(self.size, self.bits)

    def _pieces(self) -> Iterator[slice]:
        start = 0
        for size in self.sizes:
            yield slice(start, start + size)
            start += size

    def _blocks(self, exponents: np.ndarray) -> Iterator[tuple[slice, int]]:
        for piece, exponent in zip(self._pieces(), exponents, strict=True):
            for start in range(piece.start, piece.stop, BLOCK):
                yield slice(start, min(start + BLOCK, piece.stop)), exponent

    def exponents(self, model: np.ndarray) -> np.ndarray:
        """e (T,): tensor t has steps of 2**e[t], and its field reaches HEADROOM x max|tensor|."""
        largest = [
            np.abs(model[piece]).max(initial=SMALLEST[size <= SMALL_TENSOR])
            for piece, size in zip(self._pieces(), self.sizes, strict=True)
        ]
        reach = np.ceil(np.log2(HEADROOM * np.asarray(largest, np.float64)))
        return reach.astype(np.int64) - (self.bits - 1)

    def encode(
        self,
        model: np.ndarray,
        exponents: np.ndarray,
        cases: int,
        total: int,
        rng: np.random.Generator,
    ) -> tuple[np.ndarray, int]:
        """Encode the site's share of the sum, which is cases / total times the model.

        The result is (slots (S,) uint64 mod t, how many values were cut off at the field's share).
        RunFailed: a value is not finite. SettingError: the share is too small for a field.
        """
        share = share_of_field(self.bits, cases, total)
        values = np.empty(self.size, np.int64)
        cut_off = 0
        for block, exponent in self._blocks(exponents):
            scaled = model[block].astype(np.float64)  # float32 would round before the rounding
            scaled *= cases / total * 2.0 ** -int(exponent)
            if not np.isfinite(scaled).all():
                raise RunFailed(
                    "The trained model holds values that are not finite: the training diverged. "
                    "Lower the learning rate, or look at the log."
                )
            scaled += rng.random(len(scaled))
            rounded = np.floor(scaled, out=scaled)
            cut_off += int(np.count_nonzero(np.abs(rounded) > share))
            values[block] = np.clip(rounded, -share, share, out=scaled)
        return self.pack(values, exponents, cases), cut_off

    def whole(self, model: np.ndarray, exponents: np.ndarray, total: int) -> np.ndarray:
        """One `total`-th of the model in whole steps, int64 (P,), rounded to the nearest."""
        values = np.empty(self.size, np.int64)
        for block, exponent in self._blocks(exponents):
            scale = 2.0 ** -int(exponent) / total
            values[block] = np.rint(model[block].astype(np.float64) * scale)
        return values

    def pack(self, values: np.ndarray, exponents: np.ndarray, cases: int) -> np.ndarray:
        """Slots (S,) uint64: the header, then the values (P,), several in one slot."""
        header = np.zeros(HEADER_SLOTS, np.int64)
        header[0] = cases
        header[1 : 1 + len(self.sizes)] = exponents
        padding = np.zeros(-self.size % self.fields, np.int64)
        return np.concatenate([header, self._fold(np.append(values, padding))]).view(np.uint64)

    def _fold(self, values: np.ndarray) -> np.ndarray:
        values = values.reshape(-1, self.fields)
        slots = values[:, 0].copy()
        for field in range(1, self.fields):
            slots += values[:, field] << (field * self.bits)
        return slots

    def decode(self, slots: np.ndarray, sites: int, total: int) -> "Sum":
        """The sum over `sites` sites that signed slots (S,) hold.

        WireError: honest sites cannot have made this sum.
        """
        header, slots = slots[:HEADER_SLOTS], slots[HEADER_SLOTS:]
        count = int(header[0])
        exponents = header[1 : 1 + len(self.sizes)]
        if not 0 < count <= total:
            raise WireError(f"the case count is {count}; the sites' caps sum to {total}.")
        if (exponents % sites).any() or np.abs(exponents // sites).max() > 100:
            raise WireError("the sites have used different steps, or steps that make no sense.")
        values = np.empty((len(slots), self.fields), np.int64)
        half = 1 << (self.bits - 1)
        for field in range(self.fields):
            values[:, field] = ((slots + half) & (2 * half - 1)) - half
            slots = (slots - values[:, field]) >> self.bits
        return Sum(self, values.reshape(-1)[: self.size], exponents // sites, count, total)


@dataclass(frozen=True)
class Sum:
    """The exact integer sum.

    values: (P,). The mean is values * 2**e * total / count.
    """

    fixed: FixedPoint
    values: np.ndarray
    exponents: np.ndarray
    count: int
    total: int

    def mean(self) -> np.ndarray:
        """The weighted mean of the sites' models, float32 (P,).

        It is off the mean of the unrounded models by less than sites * step * total / count.
        """
        model = np.empty(self.fixed.size, np.float32)
        for piece, exponent in zip(self.fixed._pieces(), self.exponents, strict=True):
            model[piece] = self.values[piece] * (2.0 ** int(exponent) * self.total / self.count)
        return model


def share_of_field(bits: int, cases: int, total: int) -> int:
    """How many steps of a field a site with so many of all cases may fill. SettingError: none."""
    share = cases * 2 ** (bits - 1) // total - 1
    if share < 1:
        raise SettingError(f"{cases} of {total} cases is too small a share for {bits} bits.")
    return share


def slots_for(values: int, bits: int) -> int:
    """How many slots a model of so many values fills, header included."""
    return HEADER_SLOTS + -(-values // (SLOT_BITS // bits))


def to_signed(slots: np.ndarray, modulus: int) -> np.ndarray:
    """int64 in -(t-1)/2 .. (t-1)/2, from residues mod t."""
    signed = slots.astype(np.int64)
    signed -= modulus * (signed > modulus // 2)
    return signed


def to_residues(slots: Sequence[int] | np.ndarray, modulus: int) -> np.ndarray:
    """uint64 residues mod t, from signed slots."""
    signed = np.asarray(slots).view(np.int64)
    return np.where(signed < 0, signed + modulus, signed).astype(np.uint64)
