"""FedProx: each step is drawn back to the model that the round began with.

Li et al. 2020 (arXiv:1812.06127): a site minimises its loss plus mu/2 |w - w_r|^2, whose gradient,
mu (w - w_r), is added here. It is clipped with the loss's gradient: where mu |w - w_r| comes near
`clip_norm`, the pull crowds out the data.
"""

import torch
from torch import nn

from src import require
from src.plan.parts import Declares
from src.training.fedavg import FedAvg


class FedProx(FedAvg):
    """mu: strength of the pull; 0 is FedAvg."""

    DECLARES = Declares(leaves="", per_patient=True)

    def __init__(self, *, mu: float) -> None:
        require.not_negative("mu", mu)
        self.mu = mu
        self._start: list[torch.Tensor] = []

    def begin_round(self, model: nn.Module, round_number: int) -> None:
        """Remember the global model."""
        self._start = [parameter.detach().clone() for parameter in model.parameters()]

    def adjust_gradients(self, model: nn.Module) -> None:
        """Add the pull to what is trained."""
        for parameter, start in zip(model.parameters(), self._start, strict=True):
            if parameter.grad is not None:
                parameter.grad.add_(parameter.detach() - start, alpha=self.mu)

    def end_round(self, model: nn.Module, steps: int, learning_rate: float) -> None:
        """Forget it."""
        self._start = []
