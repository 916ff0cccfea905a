"""Parts for test federations; copied into a workspace's root, where `fx` finds them.

A noise runner (no torch, no images) for what is between the processes, and a spy algorithm that
keeps each site's trained model, so that a test can work out the mean by itself.
"""

import os
import signal
import time
from pathlib import Path

import numpy as np
from openfl.federated import DataLoader, TaskRunner
from openfl.utilities import TensorKey

from src.model_vector import TENSOR
from src.plan.parts import Declares
from src.training.fedavg import FedAvg
from src.training.scaffold import Scaffold

SIZE = 1000
SCALE = np.float32(0.2)  # stays below what a field can hold


class Cases(DataLoader):
    """A data set of as many cases as the file `cases` in its folder says."""

    def __init__(self, data_path=None):
        super().__init__()
        self.cases = int((Path(data_path) / "cases").read_text()) if data_path else 1
        self.site = Path(data_path).name if data_path else ""

    def identifiers(self, part):
        return [f"{self.site}-{case}" for case in range(self.cases)]

    def get_feature_shape(self):
        return (1,)

    def get_train_data_size(self):
        return self.cases

    def get_valid_data_size(self):
        return self.cases


class NoiseRunner(TaskRunner):
    """Adds known noise instead of training. seconds: how long that takes."""

    def __init__(self, seconds=0.0, **kwargs):
        super().__init__(**kwargs)
        self.seconds = seconds
        self.model = np.zeros(SIZE, np.float32)

    def get_tensor_dict(self, with_opt_vars=False):
        return {TENSOR: self.model}

    def set_tensor_dict(self, tensor_dict, with_opt_vars=False):
        self.model = np.asarray(tensor_dict[TENSOR])

    def get_required_tensorkeys_for_function(self, func_name, **kwargs):
        return [TensorKey(TENSOR, "GLOBAL", 0, False, ("model",))]

    def initialize_tensorkeys_for_functions(self, with_opt_vars=False):
        pass

    def validate_task(self, col_name, round_num, input_tensor_dict, **kwargs):
        tags = ("metric", "validate_agg")
        return {TensorKey("dice", col_name, round_num, True, tags): np.array(0.5)}, {}

    evaluate_task = validate_task

    def train_task(self, col_name, round_num, input_tensor_dict, **kwargs):
        time.sleep(self.seconds)
        trained = input_tensor_dict[TENSOR] + noise(col_name, round_num)
        return {
            TensorKey("loss", col_name, round_num, True, ("metric",)): np.array(1.0),
            TensorKey(TENSOR, col_name, round_num, False, ("trained",)): trained,
        }, {}


def noise(site: str, round_number: int) -> np.ndarray:
    """What a site adds in a round."""
    rng = np.random.default_rng([*site.encode(), round_number])
    return SCALE * rng.standard_normal(SIZE, dtype=np.float32)


class Diverging(NoiseRunner):
    """Site two sends values that are not finite in round 1."""

    def train_task(self, col_name, round_num, input_tensor_dict, **kwargs):
        sent, kept = super().train_task(col_name, round_num, input_tensor_dict, **kwargs)
        if (col_name, round_num) == ("two", 1):
            sent = {
                key: np.full_like(value, np.nan) if value.ndim else value
                for key, value in sent.items()
            }
        return sent, kept


class Wavering(NoiseRunner):
    """Its scores are others each time, as noised ones are."""

    def validate_task(self, col_name, round_num, input_tensor_dict, **kwargs):
        tags = ("metric", "validate_agg")
        dice = np.array(np.random.default_rng().random())
        return {TensorKey("dice", col_name, round_num, True, tags): dice}, {}

    evaluate_task = validate_task


class RaisingRule:
    """A rule with a fault in it."""

    DECLARES = Declares(encrypted=False)

    def combine(self, models, weights):
        raise KeyError("a bug in a researcher's rule")


class KeepTrained(FedAvg):
    """FedAvg that keeps what each round of training has made, for the test to look at."""

    DECLARES = Declares(leaves="", per_patient=True)

    def begin_round(self, model, round_number):
        self.round_number = round_number

    def end_round(self, model, steps, learning_rate):
        tensors = {name: t.cpu().numpy() for name, t in model.state_dict().items()}
        part = Path(f"local_state/trained_{self.round_number}.part.npz")
        np.savez(part, **tensors)
        part.replace(f"local_state/trained_{self.round_number}.npz")


class KilledScaffold(Scaffold):
    """SCAFFOLD at a site whose process dies of SIGKILL once it has trained round 1, before anything
    leaves it; at the site that has the file `local_state/die`.
    """

    DECLARES = Declares(leaves="", per_patient=False, mean=True, equal_steps=True)

    def begin_round(self, model, round_number):
        super().begin_round(model, round_number)
        self.round_number = round_number

    def end_round(self, model, steps, learning_rate):
        super().end_round(model, steps, learning_rate)
        if self.round_number == 1 and Path("local_state/die").exists():
            Path("local_state/die").unlink()
            os.kill(os.getpid(), signal.SIGKILL)
