"""FedAvgM without an aggregator that reads models: every site adds the same momentum to its own.

FedAvgM (Hsu, Qi, Brown 2019, arXiv:1909.06335) goes from x_r by eta m, m <- beta m + (mean - x_r).
Since eta m of the round before is x_r - x_{r-1}, that is

    x_{r+1} = x_r + eta (mean - x_r) + beta (x_r - x_{r-1})

and it is the mean of what the sites send if each of them sends, in place of its model y,

    y' = x_r + eta (y - x_r) + beta (x_r - x_{r-1})

Every site has both models. So the aggregator only adds, and the checkpoint is the sum, as ever. A
site that was not there does not have x_{r-1}: whenever the roster changes, all begin again without
momentum. A round that came to nothing leaves the momentum as it was.
"""

import torch
from torch import nn

from src import require
from src.errors import Damaged
from src.plan.parts import Declares
from src.training.fedavg import FedAvg
from src.training.memory import Memory, way_out
from src.training.trained import arrays_of, pieces_of, tensors_of, trained, trained_vector


class SharedMomentum(FedAvg):
    """momentum: beta. learning_rate: eta."""

    DECLARES = Declares(leaves="", per_patient=False, mean=True)

    def __init__(self, *, momentum: float = 0.9, learning_rate: float = 0.1) -> None:
        require.in_range("momentum", momentum, 0.0, 0.999)
        require.positive("learning_rate", learning_rate)
        self.momentum = momentum
        self.learning_rate = learning_rate
        self._memory = Memory()
        self._round = 0
        self._start = self.moved = torch.zeros(0)

    def remember(self, memory: Memory) -> None:
        """The model before the last one lies in there."""
        self._memory = memory

    def begin_round(self, model: nn.Module, round_number: int) -> None:
        """Find out by how much the last round that counted has moved the model.

        Damaged: that is lost here, and the others know it.
        """
        self._round = round_number
        self._start = trained_vector(model)
        recalled = self._memory.recall(round_number)
        if recalled.lost:
            raise Damaged(
                f"Round {round_number}: this site has trained in this run before, but the model "
                f"before is not in {self._memory.path}. {way_out(self._memory.path)}"
            )
        self.moved = torch.zeros_like(self._start)
        if recalled.counted and not recalled.changed:
            self.moved = self._start - tensors_of(recalled.after, self._start)["start"]
        elif recalled.before and not recalled.changed:
            self.moved = tensors_of(recalled.before, self._start)["moved"]

    def end_round(self, model: nn.Module, steps: int, learning_rate: float) -> None:
        """Scale the update, and add the momentum."""
        update = trained_vector(model) - self._start
        sent = self._start + self.learning_rate * update + self.momentum * self.moved
        with torch.no_grad():
            for parameter, piece in zip(trained(model), pieces_of(sent, model), strict=True):
                parameter.copy_(piece)
        self._memory.keep(
            self._round,
            before=arrays_of({"moved": self.moved}),
            after=arrays_of({"start": self._start}),
        )
