"""Export: a federation's model file as a torch state dict, with what it came from beside it."""

import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import torch

from src.files import write_atomically
from src.inference.checkpoint import load_weights
from src.plan import plan as plans
from src.plan.view import Plan


def export(file: Path, model: np.ndarray, out: Path, workspace: Path) -> dict[str, Any]:
    """Write {"model_state_dict", "plan_model", "source_sha256"} to `out`; facts about it.

    file: where the model vector was read. workspace: whose plan describes the network.
    ModelError: not this plan's model; nothing is written.
    """
    part = Plan.read(workspace / "plan" / "plan.yaml").model
    network = plans.build(part)
    load_weights(network, model, name=file)
    state = network.state_dict()
    source = hashlib.sha256(file.read_bytes()).hexdigest()
    content = io.BytesIO()
    torch.save({"model_state_dict": state, "plan_model": part, "source_sha256": source}, content)
    write_atomically(out, content.getvalue())
    return {
        "network": part["template"].rpartition(".")[2],
        "values": sum(tensor.numel() for tensor in state.values()),
        "source_sha256": source,
    }
