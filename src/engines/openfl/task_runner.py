"""The task runner (a door to OpenFL): a site's tasks, from tensors by key to tensors by key."""

from typing import Any

import numpy as np
import torch
from openfl.federated import TaskRunner
from openfl.utilities import TensorKey

from src.model_vector import TENSOR
from src.rounds.tasks import Done, SegmentationTasks

Tensors = dict[TensorKey, np.ndarray | None]
METRIC = ("metric",)


class SegmentationTaskRunner(SegmentationTasks, TaskRunner):
    """The part `task_runner` of a plan; its settings are those of `SegmentationTasks`."""

    def __init__(self, *, data_loader: Any, **settings) -> None:
        TaskRunner.__init__(self, data_loader=data_loader)
        SegmentationTasks.__init__(self, data_loader=data_loader, **settings)

    def get_train_data_size(self) -> int:
        """The site's weight in the mean."""
        return self.training_weight()

    def get_valid_data_size(self) -> int:
        """The number of validation cases that is told."""
        return self.validation_weight()

    # -- tasks: each returns (tensors for the aggregator, tensors kept at the site) ------------

    def train_task(
        self, col_name: str, round_num: int, input_tensor_dict: dict, **settings
    ) -> tuple[Tensors, Tensors]:
        """The trained model and the mean loss."""
        done = self.train(col_name, round_num, input_tensor_dict[TENSOR])
        trained = TensorKey(TENSOR, col_name, round_num, False, ("trained",))
        return {**_metrics(done, col_name, round_num), trained: done.model}, {}

    def validate_task(
        self,
        col_name: str,
        round_num: int,
        input_tensor_dict: dict,
        apply: str = "global",
        **settings,
    ) -> tuple[Tensors, Tensors]:
        """Scores of the model: apply "global", or "local" (the one that was trained here)."""
        task = "validate" if apply == "global" else "validate_local"
        done = self.score(task, round_num, input_tensor_dict[TENSOR])
        best_by = "validate_agg" if apply == "global" else "validate_local"
        return _metrics(done, col_name, round_num, best_by), {}

    def evaluate_task(
        self, col_name: str, round_num: int, input_tensor_dict: dict, **settings
    ) -> tuple[Tensors, Tensors]:
        """Scores of the final model, with distances."""
        done = self.score("evaluate", round_num, input_tensor_dict[TENSOR])
        return _metrics(done, col_name, round_num, "validate_agg"), {}

    # -- the model, as OpenFL asks for it ------------------------------------------------------

    def get_tensor_dict(self, with_opt_vars: bool = False) -> dict[str, np.ndarray]:
        """The model as one flat float32 tensor."""
        return {TENSOR: self.vector()}

    def set_tensor_dict(self, tensor_dict: dict, with_opt_vars: bool = False) -> None:
        """Load the flat tensor into the network. ModelError: of another size."""
        self.load(tensor_dict[TENSOR])

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


def _metrics(done: Done, site: str, round_number: int, best_by: str = "none") -> Tensors:
    """Scalars for the aggregator. Only the mean Dice may choose the best model."""
    tensors = {}
    for name, value in done.metrics.items():
        tags = (*METRIC, best_by) if name == "dice" else METRIC
        tensors[TensorKey(name, site, round_number, True, tags)] = np.array(value)
    return tensors
