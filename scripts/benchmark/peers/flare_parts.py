"""Plug-ins of the FLARE job: an executor that adds noise, and a persistor for numpy arrays.

They are copied into the job's folder, beside the workload, and run in FLARE's environment.
"""

import numpy as np
import workload  # scripts/benchmark/meter/workload.py, copied beside this file
from nvflare.apis.dxo import DXO, DataKind, MetaKey, from_shareable
from nvflare.apis.executor import Executor
from nvflare.app_common.abstract.model import ModelLearnableKey, make_model_learnable
from nvflare.app_common.abstract.model_persistor import ModelPersistor
from nvflare.app_common.app_constant import AppConstants


class Noise(Executor):
    """A site's work: noise instead of training."""

    def execute(self, task_name, shareable, fl_ctx, abort_signal):
        """Return the model with the site's noise, and the site's weight."""
        site = int(fl_ctx.get_identity_name().split("-")[1]) - 1
        round_number = int(shareable.get_header(AppConstants.CURRENT_ROUND))
        vector = workload.pack(from_shareable(shareable).data)
        tensors = workload.unpack(workload.trained(vector, site, round_number))
        meta = {MetaKey.NUM_STEPS_CURRENT_ROUND: workload.WEIGHTS[site]}
        return DXO(DataKind.WEIGHTS, data=tensors, meta=meta).to_shareable()


class Persistor(ModelPersistor):
    """A persistor that starts from the common state and keeps the last model."""

    def __init__(self, out: str) -> None:
        super().__init__()
        self.out = out

    def load_model(self, fl_ctx):
        """The initial model."""
        return make_model_learnable(workload.unpack(workload.initial()), {})

    def save_model(self, ml, fl_ctx) -> None:
        """Save the model as one vector."""
        np.save(self.out, workload.pack(dict(ml[ModelLearnableKey.WEIGHTS])))
