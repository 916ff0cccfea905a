"""The model on the wire: one flat float32 vector, and the manifest that says which piece is which.

OpenFL's cost is per tensor, and a rule that needs the whole update (a norm, a distance, Krum) is
one line on a vector. So all named tensors of a network are laid end to end.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

import numpy as np

from src import require
from src.errors import ModelError

TENSOR = "model"  # the name of the shared tensor in OpenFL's tensor database


@dataclass(frozen=True)
class Manifest:
    """Names and shapes of a network's tensors, in the order in which they lie in the vector."""

    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, tensors: Mapping[str, np.ndarray]) -> "Manifest":
        """The manifest of these tensors. ModelError: one of them is not of a floating-point type.

        Integer buffers (a BatchNorm counter, say) would be averaged into nonsense; they must stay
        out.
        """
        for name, tensor in tensors.items():
            if not np.issubdtype(tensor.dtype, np.floating):
                raise ModelError(
                    f"Tensor {name!r} is {tensor.dtype}; only floating-point tensors can be "
                    "averaged. Keep counters and other integer buffers off the module."
                )
        return cls(tuple(tensors), tuple(tuple(tensor.shape) for tensor in tensors.values()))

    @property
    def size(self) -> int:
        """Number of values in the vector."""
        return sum(prod(shape) for shape in self.shapes)

    def pack(self, tensors: Mapping[str, np.ndarray]) -> np.ndarray:
        """The tensors as one vector, float32 (size,). ModelError: names or shapes differ."""
        if tuple(tensors) != self.names:
            missing = [name for name in self.names if name not in tensors]
            extra = [name for name in tensors if name not in self.names]
            raise ModelError(
                "The tensors are not the manifest's: "
                f"missing {missing or 'none'}, unexpected {extra or 'none'}, or in another order."
            )
        vector = np.empty(self.size, np.float32)
        start = 0
        for name, shape in zip(self.names, self.shapes, strict=True):
            require.same_shape(name, tensors[name].shape, shape)
            stop = start + prod(shape)
            vector[start:stop] = tensors[name].ravel()
            start = stop
        return vector

    def unpack(self, vector: np.ndarray) -> dict[str, np.ndarray]:
        """The vector's pieces by name, as views. ModelError: its size is not the manifest's."""
        if vector.shape != (self.size,):
            raise ModelError(
                f"The model vector has shape {vector.shape}, the network needs ({self.size},). "
                "Is the plan's network the one that this model was trained with?"
            )
        tensors = {}
        start = 0
        for name, shape in zip(self.names, self.shapes, strict=True):
            stop = start + prod(shape)
            tensors[name] = vector[start:stop].reshape(shape)
            start = stop
        return tensors


def norm(vector: np.ndarray) -> float:
    """Euclidean length, summed in float64."""
    return float(np.sqrt(np.sum(np.square(vector, dtype=np.float64))))
