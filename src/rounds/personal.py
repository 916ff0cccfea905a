"""The personal model: what a site makes of the final model for itself. Nothing of it leaves.

Small and unlike sites gain most by it, and without a byte on the wire: some steps on the site's own
cases, of norms and head. Both models are kept in the site's `evaluation` folder, and both scored on
the same cases of its own; which of the two it uses is the site's to choose.
"""

import io
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from src.files import make_private, write_atomically
from src.rounds.validation import Validation
from src.training.fedavg import FedAvg

logger = logging.getLogger(__name__)

MODEL, SCORES, FOLDER = "model.pt", "compared.json", "personal"


def keep(model: torch.nn.Module, part: Mapping[str, Any], folder: Path) -> None:
    """Write a network as `python -m src export` does, for the site's user alone."""
    make_private(folder)
    content = io.BytesIO()
    torch.save({"model_state_dict": model.state_dict(), "plan_model": dict(part)}, content)
    write_atomically(folder / MODEL, content.getvalue(), mode=0o600)


def tune(tasks: Any, personal: Any, shared: Validation, rng: np.random.Generator) -> None:
    """Train the loaded network on, score it, and keep it beside the shared one's scores.

    personal: the plan's part, which says how. shared: the validation of what was loaded.
    """
    data, number = tasks.data_loader, shared.round_number
    steps = personal.steps_for(data.get_train_data_size())
    personal.run(
        tasks.model,
        data,
        loss=tasks.loss,
        algorithm=FedAvg(),
        compute=tasks.compute,
        round_number=0,  # the learning rate is the plan's, not that of the last round
        rng=rng,
        on_step=tasks.progress.task("tune", number, steps),
    )
    folder = tasks.evaluation / FOLDER
    keep(tasks.model, tasks.model_part, folder)
    tuned = Validation(tasks, "evaluate_personal", number, folder)
    compared = {
        "shared": shared.summary(shared.scores or shared.own()),
        "personal": tuned.summary(tuned.own()),
    }
    write_atomically(folder / SCORES, json.dumps(compared, indent=1), mode=0o600)
    dice = {name: summary["dice"]["mean"] for name, summary in compared.items()}
    logger.info(
        "Personal model: Dice %.3f, shared %.3f, on this site's validation cases.",
        dice["personal"],
        dice["shared"],
    )
