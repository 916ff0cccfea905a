"""What a plan can exchange: what every part must declare of itself, and what it must offer.

A part is a class that a plan names. One that a plan's guarantees rest on carries `DECLARES`, and
`src.plan.declared` refuses a plan whose parts are silent. Each place has a Protocol below, and
`src.plan.places` refuses a part that lacks one of its methods. Only types are imported here, so
that a plan can be read where torch is not installed.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    from torch import nn
    from torch.optim import Optimizer

    from src.plan.view import Plan


@dataclass(frozen=True, kw_only=True)
class Declares:
    """What a part says of itself, as the class attribute `DECLARES`. None: it does not say.

    leaves: what leaves a site through it, in words; "" where that is nothing.
    privacy: what protects what leaves, in words.
    spends: it gives differential privacy, and books what it spends in the site's ledger.
    per_patient: it ties no two patients together, and nothing of the data leaves or stays in it.
    encrypted: a pipeline encrypts what a site trains; a rule adds what is encrypted.
    private: no metric of a private case leaves through it, unless noised and booked.
    validated_on: whose cases the reported scores are of, in words.
    same_everywhere: the reported scores are one model's on one set of cases.
    mean: the next model is the weighted mean of what the sites send, and nothing else; of a rule.
        An algorithm that says so counts on it, and on every site's part in every round.
    equal_steps: an algorithm that counts on as many steps at every site.
    """

    leaves: str | None = None
    privacy: str | None = None
    spends: bool | None = None
    per_patient: bool | None = None
    encrypted: bool | None = None
    private: bool | None = None
    validated_on: str | None = None
    same_everywhere: bool | None = None
    mean: bool | None = None
    equal_steps: bool | None = None


class Algorithm(Protocol):
    """`task_runner.algorithm`: where a federated algorithm may act within a site's round.

    `src.training.fedavg.FedAvg` has all of these, empty, to inherit from.
    """

    def remember(self, memory: Any) -> None:
        """Called once, before the first round, with a `src.training.memory.Memory`."""
        ...

    def localise(self, model: "nn.Module", round_number: int) -> bool:
        """Called when the global model has been loaded, to be trained or scored.

        Whether something of the site's own was put into it.
        """
        ...

    def begin_round(self, model: "nn.Module", round_number: int) -> None:
        """Called before the first step; `model` holds the global model."""
        ...

    def adjust_gradients(self, model: "nn.Module") -> None:
        """Called after each backward pass, before clipping and the optimiser's step."""
        ...

    def after_step(self, model: "nn.Module", optimiser: "Optimizer") -> None:
        """Called after each of the optimiser's steps."""
        ...

    def end_round(self, model: "nn.Module", steps: int, learning_rate: float) -> None:
        """Called after the last step; `model` holds what will be sent."""
        ...


class Local(Protocol):
    """`task_runner.local`: the settings of local training."""

    def at_site(self, gate: Any, site: str, plan: "Plan", data: Any) -> "LocalTrainer":
        """What trains at this site. Refused: it must not, e.g. for privacy that is spent."""
        ...


class LocalTrainer(Protocol):
    """How one site trains a round. budget: the site's, of privacy; None where none is spent."""

    budget: Any

    def steps_for(self, cases: int) -> int:
        """Optimiser steps in a round, for the progress."""
        ...

    def weight(self, cases: int) -> int:
        """The site's weight in the mean."""
        ...

    def run(
        self,
        model: "nn.Module",
        data: Any,
        *,
        loss: "nn.Module",
        algorithm: Algorithm,
        compute: Any,
        round_number: int,
        rng: "np.random.Generator",
        on_step: Callable[[int], None],
    ) -> float:
        """Train `model` in place. The result is the mean loss."""
        ...


class ReportedMetrics(Protocol):
    """`task_runner.reported_metrics`: which numbers leave a site beside the model."""

    def at_site(self, gate: Any, site: str, plan: "Plan", data: Any) -> "ReportedMetrics":
        """What reports at this site."""
        ...

    def training(self, loss: float) -> Mapping[str, Any]:
        """What leaves of a round of training."""
        ...

    def validation(self, measured: Any, round_number: int) -> Mapping[str, Any]:
        """What leaves of a validation."""
        ...

    def cases(self, validation_cases: int) -> int:
        """The number of validation cases that is told."""
        ...


class Inferer(Protocol):
    """`task_runner.inferer`: how a whole case is predicted."""

    def predict(self, model: Any, images: "np.ndarray") -> "np.ndarray":
        """The regions (3, X, Y, Z) of images (4, X, Y, Z)."""
        ...


class Metrics(Protocol):
    """`task_runner.metrics`: how a prediction is scored, and what a site keeps of it."""

    def score(self, case: Any, prediction: "np.ndarray", *, distances: bool) -> Any:
        """One case's score; distances: surface distances too."""
        ...

    def summary(self, scores: Sequence[Any]) -> dict[str, Any]:
        """Means over cases: numbers only."""
        ...

    def table(self, scores: Sequence[Any]) -> str:
        """What the site keeps of every case."""
        ...

    def pictures(self, scored: Sequence[Any]) -> bytes:
        """Pictures for the site itself."""
        ...


class Patches(Protocol):
    """`data_loader.patches`: how training patches are cut."""

    def batch(
        self, cases: Iterable[Any], rng: "np.random.Generator"
    ) -> tuple["np.ndarray", "np.ndarray"]:
        """Images (B, 4, X, Y, Z) and regions (B, 3, X, Y, Z), one patch of each case."""
        ...


class Rule(Protocol):
    """`tasks.….aggregation_type.rule`: how the sites' models become the next one.

    A rule with a state also offers `step(before, combined, state)`, which gives the next model and
    the new state, arrays by name, from the model before the round: `src.aggregation.fedavgm`. One
    that looks at what each site has changed offers `combine_around(centre, models, weights)`, with
    the model before the round as centre, or what its `centre(before, state)` gives:
    `src.aggregation.centred_clipping`. One that withstands `liars` has `sites_needed`, the fewest
    sites with which it does: `src.aggregation.robust`.
    """

    def combine(self, models: Sequence["np.ndarray"], weights: Sequence[float]) -> "np.ndarray":
        """The next model (P,) from K models (P,) and the sites' K weights."""
        ...


class Noise(Protocol):
    """`compression_pipeline.noise`: differential privacy inside the encrypted sum."""

    def check(self, encryption: Any) -> None:
        """SettingError: it does not go with these settings of the encryption."""
        ...

    def at_site(self, gate: Any, site: str, plan: "Plan", *settings: Any) -> Any:
        """What encodes an update with noise at this site."""
        ...
