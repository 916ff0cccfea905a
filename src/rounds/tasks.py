"""What a site does with the model in a round: train it, validate it, evaluate the last one.

A task takes a model vector and gives back numbers for the aggregator and, if it trains, a model
vector. It knows no engine, and no network, loss, algorithm or metric by name: the plan hands it
parts.
"""

import logging
import os
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from src import require
from src.model_vector import Manifest
from src.plan.plan import build
from src.plan.view import Plan
from src.rounds.personal import keep, tune
from src.rounds.validation import Validation
from src.training.compute import Compute
from src.training.memory import Memory
from src.training.progress import Progress

logger = logging.getLogger(__name__)

Part = Mapping[str, Any]


@dataclass(frozen=True)
class Done:
    """What a task gives back.

    metrics: for the aggregator. model: trained, float32 (P,); None of a task that does not train.
    """

    metrics: dict[str, float]
    model: np.ndarray | None = None


class SegmentationTasks:
    """data_loader: the site's cases. model, loss, algorithm, local, inferer, metrics,
    reported_metrics: parts.

    local: how a round is trained. reported_metrics: which numbers leave the site beside the model.
    personal: how each site trains the final model on for itself, with nothing that leaves; None:
    not at all.
    seed: of the initial weights and of the sites' sampling. sampling: "seeded", the same in each
    run; "fresh", with entropy of the operating system, so that a round that came to nothing and
    the next one, from the same model, are two samples. device, precision: see `Compute`.
    evaluation: folder for what the site keeps of the final validation (cases, pictures).
    progress: file of JSON lines that tells the site's engineer what is going on.
    """

    def __init__(
        self,
        *,
        data_loader: Any,
        model: Part,
        loss: Part,
        algorithm: Part,
        local: Part,
        inferer: Part,
        metrics: Part,
        reported_metrics: Part,
        personal: Part | None = None,
        seed: int = 0,
        sampling: str = "seeded",
        device: str = "auto",
        precision: str = "auto",
        evaluation: str = "evaluation",
        progress: str = "logs/progress.jsonl",
    ) -> None:
        self.data_loader = data_loader
        require.one_of("sampling", sampling, ("seeded", "fresh"))
        self.seed = seed
        self.sampling = sampling
        self.compute = Compute(device, precision)
        with torch.random.fork_rng():  # the initial weights come from the plan's seed alone
            torch.manual_seed(seed)
            self.model = build(model)
        self.model_part = model
        self.model.to(self.compute.device)
        self.manifest = Manifest.of(self._tensors())
        self.loss = build(loss)
        self.algorithm = build(algorithm)
        self.local = build(local)
        self.personal = build(personal) if personal else None
        self.inferer = build(inferer)
        self.metrics = build(metrics)
        self.reported_metrics = build(reported_metrics)
        self.evaluation = Path(evaluation)
        self.progress = Progress(Path(progress))

    def at_site(self, gate: Any, site: str, plan: Plan) -> list[Any]:
        """Called once the site's gate is open; the site's budgets of privacy, none in most plans.

        Refused: privacy that this site has spent already. SettingError: the plan demands bfloat16,
        which yields wrong gradients on this machine.
        """
        self.compute.prove(self.model, self.data_loader.get_feature_shape())
        self.local = self.local.at_site(gate, site, plan, self.data_loader)
        self.reported_metrics = self.reported_metrics.at_site(gate, site, plan, self.data_loader)
        budget = self.local.budget
        return [budget] if budget else []

    def remember(self, memory: Memory) -> None:
        """Called after `at_site`: where the algorithm keeps what lasts from round to round."""
        self.algorithm.remember(memory)

    def training_weight(self) -> int:
        """The site's weight in the mean, as `local` tells it."""
        return self.local.weight(self.data_loader.get_train_data_size())

    def validation_weight(self) -> int:
        """The number of validation cases, as `reported_metrics` tells it."""
        return self.reported_metrics.cases(self.data_loader.get_valid_data_size())

    # -- tasks -----------------------------------------------------------------------------------

    def train(self, site: str, round_number: int, model: np.ndarray) -> Done:
        """Train the global model (P,) for one round; the trained model and the mean loss."""
        began = time.monotonic()
        self.load(model)
        self.algorithm.localise(self.model, round_number)
        steps = self.local.steps_for(self.data_loader.get_train_data_size())
        rng = self._rng(round_number, zlib.crc32(site.encode()))
        report = self.progress.task("train", round_number, steps)
        loss = self.local.run(
            self.model,
            self.data_loader,
            loss=self.loss,
            algorithm=self.algorithm,
            compute=self.compute,
            round_number=round_number,
            rng=rng,
            on_step=report,
        )
        self.progress.result("train", round_number, {} if np.isnan(loss) else {"loss": loss})
        seconds = time.monotonic() - began
        logger.info("Round %d: %d steps, loss %.4f, %.1f s.", round_number, steps, loss, seconds)
        return Done(named(self.reported_metrics.training(loss)), self.vector())

    def score(self, task: str, round_number: int, model: np.ndarray) -> Done:
        """Scores of a model (P,) on the site's validation cases.

        task: "validate", of the global model; "validate_local", of the one that this site has
        trained; "evaluate", with distances: cases and pictures stay in the `evaluation` folder.
        """
        self.load(model)
        localised = self.algorithm.localise(self.model, round_number)
        measured = Validation(self, task, round_number)
        done = Done(named(self.reported_metrics.validation(measured, round_number)))
        if task == "evaluate" and (localised or self.personal):
            keep(self.model, self.model_part, self.evaluation)
        if task == "evaluate" and self.personal:
            tune(self, self.personal, measured, self._rng(round_number))
        return done

    def _rng(self, *about: int) -> np.random.Generator:
        """For sampling."""
        fresh = os.urandom(16 * (self.sampling == "fresh"))
        return np.random.default_rng([self.seed, *about, *fresh])

    # -- the model -------------------------------------------------------------------------------

    def vector(self) -> np.ndarray:
        """The model as one flat float32 vector (P,)."""
        return self.manifest.pack(self._tensors())

    def load(self, model: np.ndarray) -> None:
        """Put a vector (P,) into the network. ModelError: of another size."""
        tensors = self.manifest.unpack(np.asarray(model, np.float32))
        # torch wants writable memory
        state = {name: torch.from_numpy(tensor.copy()) for name, tensor in tensors.items()}
        self.model.load_state_dict(state)

    def _tensors(self) -> dict[str, np.ndarray]:
        return {name: t.detach().cpu().numpy() for name, t in self.model.state_dict().items()}


def named(summary: Mapping[str, Any]) -> dict[str, float]:
    """Numbers by name: {"dice": {"mean": m, "ET": e}} becomes {"dice": m, "dice_ET": e}."""
    metrics = {}
    for metric, values in summary.items():
        for region, value in values.items() if isinstance(values, dict) else [("", values)]:
            name = metric if region in ("", "mean") else f"{metric}_{region}"
            metrics[name] = float(value)
    return metrics
