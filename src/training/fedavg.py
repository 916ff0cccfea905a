"""FedAvg: each site trains the global model on its own cases; the aggregator takes the mean.

McMahan et al. 2017 (arXiv:1602.05629). This is the plainest algorithm: it adds nothing to the
gradient and keeps nothing between rounds. It also has the shape of every other algorithm.
"""

from torch import nn

from src.plan.parts import Declares


class FedAvg:
    """The hooks of a federated algorithm at a site, all of them empty."""

    DECLARES = Declares(leaves="", per_patient=True)

    def begin_round(self, model: nn.Module, round_number: int) -> None:
        """Called before the first step; `model` holds the global model."""

    def adjust_gradients(self, model: nn.Module) -> None:
        """Called after each backward pass, before the optimiser's step."""

    def end_round(self, model: nn.Module, steps: int, learning_rate: float) -> None:
        """Called after the last step; `model` holds what will be sent."""
