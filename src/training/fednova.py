"""FedNova: a site that takes more steps does not pull the mean its way more than its cases do.

Wang et al. 2020 (arXiv:2007.07481). Each site divides its update by a_i, the number of gradients
that its steps amount to, and all multiply by the same number:

    y' = x + a(T) / a_i (y - x)

With momentum m the gradient of a step counts again in the steps after it. After K steps

    a = sum over t = 1..K of (1 - m^(t + 1)) / (1 - m)   torch's Nesterov momentum
    a = sum over t = 1..K of (1 - m^t) / (1 - m)         heavy ball
    a = K                                                no momentum

In the paper a(T) is the mean of the sites' a_i. That would have to be told beside the model; here T
stands in the plan, so that nothing more leaves a site.
"""

import torch
from torch import nn
from torch.optim import Optimizer

from src import require
from src.errors import SettingError
from src.plan.parts import Declares
from src.training.fedavg import FedAvg


class FedNova(FedAvg):
    """steps: T, the steps that a round of the whole federation stands for."""

    DECLARES = Declares(leaves="", per_patient=False)

    def __init__(self, *, steps: int) -> None:
        require.whole("steps", steps, at_least=1)
        self.steps = steps
        self._start: list[torch.Tensor] = []
        self._momentum = 0.0
        self._nesterov = False

    def begin_round(self, model: nn.Module, round_number: int) -> None:
        """Remember the global model."""
        self._start = [parameter.detach().clone() for parameter in model.parameters()]

    def after_step(self, model: nn.Module, optimiser: Optimizer) -> None:
        """See by which momentum the steps are taken."""
        group = optimiser.param_groups[0]
        if "momentum" not in group or group.get("dampening"):
            raise SettingError("FedNova counts the gradients of SGD, without dampening.")
        self._momentum, self._nesterov = group["momentum"], group["nesterov"]

    def end_round(self, model: nn.Module, steps: int, learning_rate: float) -> None:
        """Scale the update."""
        factor = self._gradients(self.steps) / self._gradients(steps)
        with torch.no_grad():
            for parameter, start in zip(model.parameters(), self._start, strict=True):
                parameter.copy_(start + factor * (parameter - start))
        self._start = []

    def _gradients(self, steps: int) -> float:
        return gradients_in(steps, self._momentum, nesterov=self._nesterov)


def gradients_in(steps: int, momentum: float, *, nesterov: bool) -> float:
    """a: the number of gradients that so many steps of torch's SGD amount to."""
    first = 2 if nesterov else 1
    powers = (momentum**t for t in range(first, steps + first))
    return sum((1 - power) / (1 - momentum) for power in powers)
