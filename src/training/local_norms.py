"""Local normalisation: a site's norm layers are its own, and never leave it; all else is shared.

As FedBN (Li et al. 2021, arXiv:2102.07623), for the affine parameters of any layers that the plan
names. They are not replaced when a model arrives, and what arrived in their place is sent back as
it came: so a piece of the shared vector that is nobody's stays what it was in the beginning. The
shared model is then of no use by itself; each site's own lies in its `evaluation` folder.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import nn

from src.plan.parts import Declares
from src.trainable import trainable_names
from src.training.fedavg import FedAvg
from src.training.memory import Memory
from src.training.trained import arrays_of, tensors_of


class LocalNorms(FedAvg):
    """layers: what stays at each site, by words as `trainable` takes them."""

    DECLARES = Declares(leaves="", per_patient=False)

    def __init__(self, *, layers: Sequence[str] = ("GroupNorm",)) -> None:
        self.layers = tuple(layers)
        self._memory = Memory()
        self._round = 0
        self._arrived: Mapping[str, torch.Tensor] = {}
        self._begun: Mapping[str, torch.Tensor] = {}
        self._trained: tuple[int, Mapping[str, torch.Tensor]] = (-1, {})

    def remember(self, memory: Memory) -> None:
        """The site's own pieces lie in there."""
        self._memory = memory

    def localise(self, model: nn.Module, round_number: int) -> bool:
        """Put the site's own pieces in the place of those that arrived.

        A site that comes late, or has lost its own, goes on from those that arrived.
        """
        self._round = round_number
        self._arrived = _copies(self._own(model))
        recalled = self._memory.recall(round_number)
        kept = recalled.before if recalled.void else recalled.after
        pieces = tensors_of(kept, next(model.parameters()))
        if self._trained[0] == round_number:  # what this process has just trained is scored
            pieces = self._trained[1]
        if pieces:
            _put(pieces, self._own(model))
        self._begun = _copies(self._own(model))
        return True

    def end_round(self, model: nn.Module, steps: int, learning_rate: float) -> None:
        """Keep the site's own pieces, and send what arrived."""
        own = self._own(model)
        self._trained = self._round, _copies(own)
        self._memory.keep(
            self._round, before=arrays_of(self._begun), after=arrays_of(self._trained[1])
        )
        _put(self._arrived, own)

    def _own(self, model: nn.Module) -> dict[str, nn.Parameter]:
        names = trainable_names(model, self.layers)
        return {name: found for name, found in model.named_parameters() if name in names}


def _copies(own: Mapping[str, nn.Parameter]) -> dict[str, torch.Tensor]:
    return {name: parameter.detach().clone() for name, parameter in own.items()}


def _put(values: Mapping[str, torch.Tensor], own: Mapping[str, nn.Parameter]) -> None:
    with torch.no_grad():
        for name, parameter in own.items():
            parameter.copy_(values[name])
