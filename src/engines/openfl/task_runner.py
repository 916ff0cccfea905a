"""The task runner (a door to OpenFL): what a site does with the global model in a round.

It knows no network, loss, algorithm or metric by name: the plan hands it parts.
"""

import logging
import os
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from openfl.federated import TaskRunner
from openfl.utilities import TensorKey

from src import require
from src.files import write_atomically
from src.model_vector import TENSOR, Manifest
from src.plan.plan import build
from src.training.compute import Compute
from src.training.progress import Progress

logger = logging.getLogger(__name__)

Part = Mapping[str, Any]
Tensors = dict[TensorKey, np.ndarray]
METRIC = ("metric",)


class SegmentationTaskRunner(TaskRunner):
    """model, loss, algorithm, local, inferer, metrics, reported_metrics: parts.

    local: how a round is trained. reported_metrics: which numbers leave the site beside the model.
    seed: of the initial weights and of the sites' sampling. sampling: "seeded", the same in each
    run; "fresh", with entropy of the operating system, so that a round that came to nothing and
    the next one, from the same model, are two samples. device, precision: see `Compute`.
    evaluation: folder for what the site keeps of the final validation (cases, pictures).
    progress: file of JSON lines that tells the site's engineer what is going on.
    """

    def __init__(
        self,
        *,
        model: Part,
        loss: Part,
        algorithm: Part,
        local: Part,
        inferer: Part,
        metrics: Part,
        reported_metrics: Part,
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
        self.reported_metrics = build(reported_metrics)
        self.evaluation = Path(evaluation)
        self.progress = Progress(Path(progress))

    def at_site(self, gate: Any, site: str, plan: Mapping[str, Any]) -> list[Any]:
        """Called once the site's gate is open; the site's budgets of privacy, none in most plans.

        Refused: privacy that this site has spent already. SettingError: the plan demands bfloat16,
        which yields wrong gradients on this machine.
        """
        self.compute.prove(self.model, self.data_loader.get_feature_shape())
        self.local = self.local.at_site(gate, site, plan, self.data_loader)
        self.reported_metrics = self.reported_metrics.at_site(gate, site, plan, self.data_loader)
        budget = getattr(self.local, "budget", None)
        return [budget] if budget else []

    def get_train_data_size(self) -> int:
        """The site's weight in the mean, as `local` tells it."""
        return self.local.weight(self.data_loader.get_train_data_size())

    def get_valid_data_size(self) -> int:
        """The number of validation cases, as `releases` tells it."""
        return self.reported_metrics.cases(self.data_loader.get_valid_data_size())

    # -- tasks: each returns (tensors for the aggregator, tensors kept at the site) ------------

    def train_task(
        self, col_name: str, round_num: int, input_tensor_dict: dict, **settings
    ) -> tuple[Tensors, Tensors]:
        """Train the global model for one round; the trained model and the mean loss."""
        began = time.monotonic()
        self.set_tensor_dict(input_tensor_dict)
        steps = self.local.steps_for(self.data_loader.get_train_data_size())
        start = [self.seed, round_num, zlib.crc32(col_name.encode())]
        rng = np.random.default_rng([*start, *os.urandom(16 * (self.sampling == "fresh"))])
        report = self.progress.task("train", round_num, steps)
        loss = self.local.run(
            self.model,
            self.data_loader,
            loss=self.loss,
            algorithm=self.algorithm,
            compute=self.compute,
            round_number=round_num,
            rng=rng,
            on_step=report,
        )
        self.progress.result("train", round_num, {} if np.isnan(loss) else {"loss": loss})
        seconds = time.monotonic() - began
        logger.info("Round %d: %d steps, loss %.4f, %.1f s.", round_num, steps, loss, seconds)
        trained = TensorKey(TENSOR, col_name, round_num, False, ("trained",))
        told = self._metrics(col_name, round_num, self.reported_metrics.training(loss))
        return {**told, trained: self._vector()}, {}

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
        told = self.reported_metrics.validation(Validation(self, task, round_num), round_num)
        kind = "validate_agg" if apply == "global" else "validate_local"
        return self._metrics(col_name, round_num, told, best_by=kind), {}

    def evaluate_task(
        self, col_name: str, round_num: int, input_tensor_dict: dict, **settings
    ) -> tuple[Tensors, Tensors]:
        """Dice and HD95 of the final model; cases and pictures stay in the `evaluation` folder."""
        self.set_tensor_dict(input_tensor_dict)
        told = self.reported_metrics.validation(Validation(self, "evaluate", round_num), round_num)
        return self._metrics(col_name, round_num, told, best_by="validate_agg"), {}

    def _metrics(
        self, site: str, round_number: int, summary: dict, best_by: str = "none"
    ) -> Tensors:
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
        """Load the flat tensor into the network. ModelError: of another size."""
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


class Validation:
    """One validation of the loaded model: on the site's own cases, and on any others."""

    def __init__(self, runner: SegmentationTaskRunner, task: str, round_number: int) -> None:
        self._runner = runner
        self._task = task
        self._round = round_number

    def own(self) -> list[dict]:
        """Scores of the site's own validation cases; the site's log and folder keep them."""
        runner = self._runner
        cases = runner.data_loader
        report = runner.progress.task(self._task, self._round, cases.get_valid_data_size())
        scores, pictures = [], []
        for done, item in enumerate(self._scored(cases.validation_cases()), start=1):
            scores.append(item[0])
            if self._task == "evaluate":
                pictures.append(item)
            report(done)
        if scores:
            dice = self.summary(scores)["dice"]
            runner.progress.result(self._task, self._round, {"dice": dice})
            logger.info("Round %d: %s, Dice %.3f.", self._round, self._task, dice["mean"])
        if pictures:
            self._keep(scores, pictures)
        return scores

    def of(self, cases: Iterable[Any]) -> list[dict]:
        """Scores of other cases."""
        return [score for score, *_ in self._scored(cases)]

    def summary(self, scores: list[dict]) -> dict[str, Any]:
        """Means over cases, numbers only."""
        return self._runner.metrics.summary(scores)

    def _scored(self, cases: Iterable[Any]) -> Iterator[tuple]:
        """(score, case, prediction) of each."""
        runner = self._runner
        for case in cases:
            with runner.compute.autocast():
                prediction = runner.inferer.predict(runner.model, case.images)
            score = runner.metrics.score(case, prediction, distances=self._task == "evaluate")
            yield score, case, prediction

    def _keep(self, scores: list[dict], scored: list[tuple]) -> None:
        """Cases and pictures of the final model, in the site's `evaluation` folder."""
        runner = self._runner
        runner.evaluation.mkdir(parents=True, exist_ok=True, mode=0o700)  # pictures of patients
        write_atomically(runner.evaluation / "cases.json", runner.metrics.table(scores))
        write_atomically(runner.evaluation / "slices.npz", runner.metrics.pictures(scored))
