"""The task runner (a door to OpenFL): what a site does with the global model in a round.

It knows no network, loss, algorithm or metric by name: the plan hands it parts.
"""

import logging
import os
import time
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from openfl.federated import TaskRunner
from openfl.utilities import TensorKey

from src import require
from src.files import write_atomically
from src.plan import build
from src.training.compute import Compute
from src.training.progress import Progress
from src.update import TENSOR, Manifest

logger = logging.getLogger(__name__)

Part = Mapping[str, Any]
Tensors = dict[TensorKey, np.ndarray]
METRIC = ("metric",)


class SegmentationTaskRunner(TaskRunner):
    """model, loss, algorithm, local, inferer, metrics: parts.

    seed: of the initial weights and of the sites' sampling. sampling: "seeded", the same in each
    run; "fresh", with entropy of the operating system, so that a round that came to nothing and
    the next one, from the same model, are two samples. device, precision: see `Compute`.
    evaluation: folder for what the site keeps of the final validation (cases, pictures).
    progress: file of JSON lines that tells the site's engineer what is going on.
    """

    LEAVES = "the mean loss of each round"

    def __init__(
        self,
        *,
        model: Part,
        loss: Part,
        algorithm: Part,
        local: Part,
        inferer: Part,
        metrics: Part,
        seed: int = 0,
        sampling: str = "seeded",
        device: str = "auto",
        precision: str = "auto",
        evaluation: str = "evaluation",
        progress: str = "logs/progress.jsonl",
        **openfl_settings,
    ) -> None:
        super().__init__(**openfl_settings)
        require.one_of("sampling", sampling, ("seeded", "fresh"))
        self.seed = seed
        self.sampling = sampling
        self.compute = Compute(device, precision)
        with torch.random.fork_rng():  # the initial weights come from the plan's seed alone
            torch.manual_seed(seed)
            self.model = build(model)
        self.model.to(self.compute.device)
        self.manifest = Manifest.of(self._tensors())
        self.loss = build(loss)
        self.algorithm = build(algorithm)
        self.local = build(local)
        self.inferer = build(inferer)
        self.metrics = build(metrics)
        self.evaluation = Path(evaluation)
        self.progress = Progress(Path(progress))

    # -- tasks: each returns (tensors for the aggregator, tensors kept at the site) ------------

    def train_task(
        self, col_name: str, round_num: int, input_tensor_dict: dict, **settings
    ) -> tuple[Tensors, Tensors]:
        """Train the global model for one round; the trained model and the mean loss."""
        began = time.monotonic()
        self.set_tensor_dict(input_tensor_dict)
        steps = self.local.steps_for(self.get_train_data_size())
        start = [self.seed, round_num, zlib.crc32(col_name.encode())]
        rng = np.random.default_rng([*start, *os.urandom(16 * (self.sampling == "fresh"))])
        report = self.progress.task("train", round_num, steps)
        loss = self.local.run(
            self.model,
            self.data_loader.training_batches(steps, self.local.batch_size, rng),
            loss=self.loss,
            algorithm=self.algorithm,
            compute=self.compute,
            round_number=round_num,
            on_step=report,
        )
        self.progress.result("train", round_num, {"loss": loss})
        seconds = time.monotonic() - began
        logger.info("Round %d: %d steps, loss %.4f, %.1f s.", round_num, steps, loss, seconds)
        return {
            TensorKey("loss", col_name, round_num, True, METRIC): np.array(loss),
            TensorKey(TENSOR, col_name, round_num, False, ("trained",)): self._vector(),
        }, {}

    def validate_task(
        self,
        col_name: str,
        round_num: int,
        input_tensor_dict: dict,
        apply: str = "global",
        **settings,
    ) -> tuple[Tensors, Tensors]:
        """Dice of the model on the site's validation cases: apply "global", or "local" (tuned)."""
        task = "validate" if apply == "global" else "validate_local"
        self.set_tensor_dict(input_tensor_dict)
        scores = [score for score, *_ in self._scored_cases(task, round_num)]
        dice = self.metrics.summary(scores)["dice"]
        self.progress.result(task, round_num, {"dice": dice})
        logger.info("Round %d: %s, Dice %.3f.", round_num, task, dice["mean"])
        kind = "validate_agg" if apply == "global" else "validate_local"
        return self._metrics(col_name, round_num, {"dice": dice}, best_by=kind), {}

    def evaluate_task(
        self, col_name: str, round_num: int, input_tensor_dict: dict, **settings
    ) -> tuple[Tensors, Tensors]:
        """Dice and HD95 of the final model; cases and pictures stay in the `evaluation` folder."""
        self.set_tensor_dict(input_tensor_dict)
        scored = list(self._scored_cases("evaluate", round_num))
        scores = [score for score, *_ in scored]
        summary = self.metrics.summary(scores)
        self.evaluation.mkdir(parents=True, exist_ok=True, mode=0o700)  # pictures of patients
        write_atomically(self.evaluation / "cases.json", self.metrics.table(scores))
        write_atomically(self.evaluation / "slices.npz", self.metrics.pictures(scored))
        self.progress.result("evaluate", round_num, {"dice": summary["dice"]})
        logger.info("Final model: Dice %.3f.", summary["dice"]["mean"])
        return self._metrics(col_name, round_num, summary, best_by="validate_agg"), {}

    def _scored_cases(self, task: str, round_number: int):
        """(score, case, prediction) of each validation case."""
        report = self.progress.task(task, round_number, self.get_valid_data_size())
        for done, case in enumerate(self.data_loader.validation_cases(), start=1):
            with self.compute.autocast():
                prediction = self.inferer.predict(self.model, case.images)
            score = self.metrics.score(case, prediction, distances=task == "evaluate")
            report(done)
            yield score, case, prediction

    def _metrics(self, site: str, round_number: int, summary: dict, best_by: str) -> Tensors:
        """Scalars for the aggregator. Only the mean Dice may choose the best model."""
        tensors = {}
        for metric, values in summary.items():
            for region, value in values.items() if isinstance(values, dict) else [("", values)]:
                name = metric if region in ("", "mean") else f"{metric}_{region}"
                tags = (*METRIC, best_by) if name == "dice" else METRIC
                key = TensorKey(name, site, round_number, True, tags)
                tensors[key] = np.array(float(value))
        return tensors

    # -- the model, as OpenFL asks for it ------------------------------------------------------

    def _tensors(self) -> dict[str, np.ndarray]:
        return {name: t.detach().cpu().numpy() for name, t in self.model.state_dict().items()}

    def _vector(self) -> np.ndarray:
        return self.manifest.pack(self._tensors())

    def get_tensor_dict(self, with_opt_vars: bool = False) -> dict[str, np.ndarray]:
        """The model as one flat float32 tensor."""
        return {TENSOR: self._vector()}

    def set_tensor_dict(self, tensor_dict: dict, with_opt_vars: bool = False) -> None:
        """Load the flat tensor into the network. ValueError: of another size."""
        tensors = self.manifest.unpack(np.asarray(tensor_dict[TENSOR], np.float32))
        # torch wants writable memory
        state = {name: torch.from_numpy(tensor.copy()) for name, tensor in tensors.items()}
        self.model.load_state_dict(state)

    def get_required_tensorkeys_for_function(self, func_name: str, **kwargs) -> list[TensorKey]:
        """The global model; for local validation the model that this site has just trained."""
        if kwargs.get("apply") == "local":
            return [TensorKey(TENSOR, "LOCAL", 0, False, ("trained",))]
        return [TensorKey(TENSOR, "GLOBAL", 0, False, ("model",))]

    def initialize_tensorkeys_for_functions(self, with_opt_vars: bool = False) -> None:
        """Nothing to do: the keys do not depend on the network."""

    def reset_opt_vars(self) -> None:
        """Nothing to do: each round makes its optimiser anew."""

    def initialize_globals(self) -> None:
        """Nothing to do: there are none."""

    def save_native(self, filepath: str, **kwargs) -> None:
        """Write a torch state dict; `fx model save` ends here."""
        torch.save({"model_state_dict": self.model.state_dict()}, filepath)

    def load_native(self, filepath: str, **kwargs) -> None:
        """Read a torch state dict, weights only; `fx plan initialize -i x.pt` ends here."""
        content = torch.load(filepath, map_location=self.compute.device, weights_only=True)
        self.model.load_state_dict(content.get("model_state_dict", content))
