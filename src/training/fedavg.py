"""FedAvg: each site trains the global model on its own cases; the aggregator takes the mean.

McMahan et al. 2017 (arXiv:1602.05629). This is the plainest algorithm: it adds nothing to the
gradient and keeps nothing between rounds. Every other algorithm inherits its hooks, and overrides
those that it needs.
"""

from torch import nn
from torch.optim import Optimizer

from src.plan.parts import Declares
from src.training.memory import Memory


class FedAvg:
    """The hooks of a federated algorithm at a site, all of them empty."""

    DECLARES = Declares(leaves="", per_patient=True)

    def remember(self, memory: Memory) -> None:
        """Called once, before the first round: what lasts from round to round goes in there."""

    def localise(self, model: nn.Module, round_number: int) -> bool:
        """Called when the global model has been loaded, to be trained or scored.

        Whether something of the site's own was put into it.
        """
        return False

    def begin_round(self, model: nn.Module, round_number: int) -> None:
        """Called before the first step; `model` holds the global model."""

    def adjust_gradients(self, model: nn.Module) -> None:
        """Called after each backward pass, before clipping and the optimiser's step."""

    def after_step(self, model: nn.Module, optimiser: Optimizer) -> None:
        """Called after each of the optimiser's steps, which momentum and clipping have shaped."""

    def end_round(self, model: nn.Module, steps: int, learning_rate: float) -> None:
        """Called after the last step; `model` holds what will be sent."""
