"""SCAFFOLD: each step is corrected by how a site's gradients differ from everybody's.

Karimireddy et al. 2020 (arXiv:1910.06378), option II. A site's control variate c_i is its mean
gradient in its last round, c that of all sites; after each step the weights move by -lr (c - c_i).
(Added to the gradient instead, the correction would be multiplied by the momentum a second time.)

No second channel carries c. Where every site takes part and the next model is the weighted mean, c
follows from two models that every site has: in a round of K steps

    c_i' = c_i - c + (x - y_i) / (K lr)        so        c' = sum p_i c_i' = (x - x') / (K lr)

Both begin at zero, at all sites alike, and again whenever the roster changes: a site that was not
there knows no c_i. A round that came to nothing changes neither. The c_i stay at their sites.
"""

import torch
from torch import nn
from torch.optim import Optimizer

from src.errors import Damaged
from src.plan.parts import Declares
from src.training.fedavg import FedAvg
from src.training.memory import Memory, way_out
from src.training.trained import arrays_of, pieces_of, tensors_of, trained, trained_vector


class Scaffold(FedAvg):
    """It needs as many steps at every site (`steps`, not `epochs`), and a plain weighted mean."""

    DECLARES = Declares(leaves="", per_patient=False, mean=True, equal_steps=True)

    def __init__(self) -> None:
        self._memory = Memory()
        self._round = 0
        self._start = self.c = self.own = torch.zeros(0)
        self._correction: tuple[torch.Tensor, ...] = ()

    def remember(self, memory: Memory) -> None:
        """c and c_i lie in there."""
        self._memory = memory

    def begin_round(self, model: nn.Module, round_number: int) -> None:
        """Find out what has become of the last round, and with it c and c_i.

        Damaged: this site's c_i is lost; from zero alone it would draw all models its way.
        """
        self._round = round_number
        self._start = trained_vector(model)
        recalled = self._memory.recall(round_number)
        if recalled.lost:
            raise Damaged(
                f"Round {round_number}: this site has trained in this run before, but its control "
                f"variate is not in {self._memory.path}. {way_out(self._memory.path)}"
            )
        if recalled.counted and not recalled.changed:
            then = tensors_of(recalled.after, self._start)
            self.c = (then["start"] - self._start) / then["moved"]
            self.own = then["own"]
        elif recalled.before and not recalled.changed:
            then = tensors_of(recalled.before, self._start)
            self.c, self.own = then["c"], then["own"]
        else:
            self.c, self.own = torch.zeros_like(self._start), torch.zeros_like(self._start)
        self._correction = pieces_of(self.c - self.own, model)

    def after_step(self, model: nn.Module, optimiser: Optimizer) -> None:
        """Take lr (c - c_i) from the weights."""
        learning_rate = optimiser.param_groups[0]["lr"]
        with torch.no_grad():
            for parameter, piece in zip(trained(model), self._correction, strict=True):
                parameter.sub_(piece, alpha=learning_rate)

    def end_round(self, model: nn.Module, steps: int, learning_rate: float) -> None:
        """Keep the new c_i, and what c will follow from if the round counts."""
        moved = steps * learning_rate
        own = self.own - self.c + (self._start - trained_vector(model)) / moved
        after = {"own": own, "start": self._start, "moved": torch.tensor(moved).double()}
        self._memory.keep(
            self._round,
            before=arrays_of({"c": self.c, "own": self.own}),
            after=arrays_of(after),
        )
        self._correction = ()
