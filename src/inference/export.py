"""Export: a federation's model file as a torch state dict, with what it came from beside it."""

import hashlib
import io
from pathlib import Path
from typing import Any

import torch

from src.files import write_atomically
from src.inference.checkpoint import load_weights
from src.plan import plan as plans


def export(model: Path, out: Path, workspace: Path) -> dict[str, Any]:
    """Write {"model_state_dict", "plan_model", "source_sha256"} to `out`; facts about it.

    workspace: whose plan describes the network; a site's, if the model is encrypted.
    ValueError, Refused: not this plan's model, or one that does not hold; nothing is written.
    """
    part = plans.read(workspace / "plan" / "plan.yaml")["task_runner"]["settings"]["model"]
    network = plans.build(part)
    load_weights(network, model, workspace)
    state = network.state_dict()
    source = hashlib.sha256(model.read_bytes()).hexdigest()
    content = io.BytesIO()
    torch.save({"model_state_dict": state, "plan_model": part, "source_sha256": source}, content)
    write_atomically(out, content.getvalue())
    return {
        "network": part["template"].rpartition(".")[2],
        "values": sum(tensor.numel() for tensor in state.values()),
        "source_sha256": source,
    }
