"""A task runner without training, for this kit and for stock OpenFL; lies in a workspace's root."""

from pathlib import Path

import numpy as np
import workload  # scripts/benchmark/meter/workload.py, copied beside this file
from openfl.federated import DataLoader, TaskRunner
from openfl.utilities import TensorKey


class SiteNumber(DataLoader):
    """A data loader that only knows which site it is: the file `site` in its folder says so."""

    def __init__(self, data_path: str | None = None) -> None:
        super().__init__()
        self.site = int((Path(data_path) / "site").read_text(encoding="utf-8")) if data_path else 0

    def get_feature_shape(self) -> tuple[int, ...]:
        """Required by OpenFL, and of no use here."""
        return (1,)

    def get_train_data_size(self) -> int:
        """The site's weight."""
        return workload.WEIGHTS[self.site]

    get_valid_data_size = get_train_data_size


class Noise(TaskRunner):
    """A task runner that adds known noise instead of training.

    flat: the state as one tensor, as this kit sends it; else as the network's 75 tensors.
    """

    def __init__(self, flat: bool, **openfl_settings) -> None:
        super().__init__(**openfl_settings)
        self.flat = flat
        self.tensors = self._split(workload.initial())

    def _split(self, vector: np.ndarray) -> workload.State:
        """The vector as OpenFL's tensors."""
        return {"model": vector} if self.flat else workload.unpack(vector)

    def _joined(self, tensors: workload.State) -> np.ndarray:
        """OpenFL's tensors as one vector."""
        return np.asarray(tensors["model"]) if self.flat else workload.pack(tensors)

    def get_tensor_dict(self, with_opt_vars: bool = False) -> workload.State:
        """The state."""
        return self.tensors

    def set_tensor_dict(self, tensor_dict: workload.State, with_opt_vars: bool = False) -> None:
        """Take another state."""
        self.tensors = dict(tensor_dict)

    def get_required_tensorkeys_for_function(self, func_name: str, **kwargs) -> list[TensorKey]:
        """The tensors of a task, asked for as openfl.federated.PyTorchTaskRunner does."""
        if kwargs.get("apply") == "local":
            return [TensorKey(name, "LOCAL", 0, False, ("trained",)) for name in self.tensors]
        return [TensorKey(name, "GLOBAL", 0, False, ("model",)) for name in self.tensors]

    def initialize_tensorkeys_for_functions(self, with_opt_vars: bool = False) -> None:
        """Required by OpenFL; there is nothing to do."""

    def validate_task(self, col_name, round_num, input_tensor_dict, apply="global", **kwargs):
        """A constant score."""
        tags = ("metric", "validate_agg" if apply == "global" else "validate_local")
        return {TensorKey("score", col_name, round_num, True, tags): np.array(0.5)}, {}

    evaluate_task = validate_task

    def train_task(self, col_name, round_num, input_tensor_dict, **kwargs):
        """The state with the site's noise, and a constant loss."""
        vector = self._joined(input_tensor_dict)
        tensors = self._split(workload.trained(vector, self.data_loader.site, round_num))
        sent = {TensorKey("loss", col_name, round_num, True, ("metric",)): np.array(0.5)}
        for name, tensor in tensors.items():
            sent[TensorKey(name, col_name, round_num, False, ("trained",))] = tensor
        return sent, {}
