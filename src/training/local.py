"""Local training: the steps of SGD of one round on one site's patches, in plain torch."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
import torch
from torch import nn

from src import require
from src.errors import RunFailed, SettingError
from src.plan.parts import Algorithm, Declares
from src.plan.view import Plan
from src.trainable import trainable_names
from src.training.compute import Compute


class Data(Protocol):
    """What is needed of a site's data; `src.data.site_cases` has it."""

    def get_train_data_size(self) -> int: ...
    def training_batches(
        self, steps: int, batch_size: int, rng: np.random.Generator
    ) -> Iterable[tuple[np.ndarray, np.ndarray]]: ...


@dataclass(frozen=True, kw_only=True)
class LocalTraining:
    """SGD with Nesterov momentum, which starts anew in each round.

    steps: optimiser steps of a round.
    epochs: passes over the site's cases, instead of steps.
    batch_size: patches in a step; 2 or more, since torch falls back to a slow convolution below.
    learning_rate: of round 0; round r uses learning_rate * decay**r.
    momentum, weight_decay: of the optimiser.
    clip_norm: largest gradient norm of a step.
    trainable: which parameters move (`src.trainable`); None: all. The others stay as they are.
    """

    DECLARES: ClassVar = Declares(leaves="", spends=False)  # the pipeline says what leaves
    budget: ClassVar[None] = None  # of privacy: none is spent

    steps: int | None = None
    epochs: int | None = None
    batch_size: int = 2
    learning_rate: float = 0.1
    decay: float = 1.0
    momentum: float = 0.9
    weight_decay: float = 1e-5
    clip_norm: float = 5.0
    trainable: Sequence[str] | None = None

    def __post_init__(self) -> None:
        if (self.steps is None) == (self.epochs is None):
            raise SettingError("Give either steps or epochs, one of the two.")
        if self.steps is not None:
            require.whole("steps", self.steps, at_least=1)
        if self.epochs is not None:
            require.whole("epochs", self.epochs, at_least=1)
        require.whole("batch_size", self.batch_size, at_least=2)
        require.positive("learning_rate", self.learning_rate)
        require.in_range("decay", self.decay, 0.1, 1.0)
        require.in_range("momentum", self.momentum, 0.0, 0.999)
        require.not_negative("weight_decay", self.weight_decay)
        require.positive("clip_norm", self.clip_norm)

    def steps_for(self, cases: int) -> int:
        """Optimiser steps of a round for a site with this many training cases."""
        if self.steps is not None:
            return self.steps
        return (self.epochs or 0) * -(-cases // self.batch_size)

    def at_site(self, gate: Any, site: str, plan: Plan, data: Any) -> "LocalTraining":
        """The part is ready as it is. (A private one opens the site's ledger here.)"""
        return self

    def weight(self, cases: int) -> int:
        """The site's weight in the mean: its number of training cases."""
        return cases

    def run(
        self,
        model: nn.Module,
        data: Data,
        *,
        loss: nn.Module,
        algorithm: Algorithm,
        compute: Compute,
        round_number: int,
        rng: np.random.Generator,
        on_step: Callable[[int], None] = lambda done: None,
    ) -> float:
        """Train `model` in place on the site's batches; return the mean loss over the steps.

        on_step: called with the number of steps done.
        RunFailed: the loss is not finite, and the model is then of no use; or a word of
            `trainable` names no parameter.
        """
        names = trainable_names(model, self.trainable)
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(name in names)
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        learning_rate = self.learning_rate * self.decay**round_number
        optimiser = torch.optim.SGD(
            trained,
            learning_rate,
            momentum=self.momentum,
            nesterov=self.momentum > 0,
            weight_decay=self.weight_decay,
        )
        model.train()
        algorithm.begin_round(model, round_number)
        losses: list[float] = []
        steps = self.steps_for(data.get_train_data_size())
        for images, regions in data.training_batches(steps, self.batch_size, rng):
            optimiser.zero_grad()
            with compute.autocast():
                logits = model(compute.tensor(images))
            value = loss(logits.float(), compute.tensor(regions))
            value.backward()
            algorithm.adjust_gradients(model)
            nn.utils.clip_grad_norm_(trained, self.clip_norm)
            optimiser.step()
            algorithm.after_step(model, optimiser)
            losses.append(float(value.detach()))
            if not np.isfinite(losses[-1]):
                raise RunFailed(
                    f"The loss is {losses[-1]} in step {len(losses)} of round {round_number}: "
                    "training diverged. Lower task_runner.local.learning_rate."
                )
            on_step(len(losses))
        algorithm.end_round(model, len(losses), learning_rate)
        return float(np.mean(losses))
