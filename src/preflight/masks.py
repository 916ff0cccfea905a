"""Rules about masks: where their keys lie, and where it is noted what was sealed."""

import os
from collections.abc import Iterator

from src.differential_privacy.ledger import VARIABLE, folder
from src.preflight.finding import Examination, State
from src.secure_aggregation.mask_keys import MaskKeys, filesystem, memory_folder


def mask_keys(examination: Examination) -> Iterator[tuple[State, str]]:
    """Whether a site of an encrypted plan has a folder in memory, and one outside the workspace."""
    if examination.name is None or examination.encryption is None:
        return
    memory = memory_folder()
    MaskKeys.of(examination.workspace, examination.name, examination.members.run)
    place = folder()
    there = next(path for path in (place, *place.parents) if path.exists())
    if place.resolve().is_relative_to(examination.workspace.resolve()):
        yield (
            "fail",
            f"which rounds were sealed would be noted in the workspace ({place}), and be forgotten "
            f"with it. Set {VARIABLE} to a folder outside.",
        )
    elif not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        yield (
            "fail",
            f"{place} cannot be written to; an update is encrypted only once that is noted there. "
            f"Give this user the folder (mode 0700), or set {VARIABLE} to another.",
        )
    else:
        yield "ok", f"in memory ({memory}, {filesystem(memory)}); sealed rounds noted in {place}"
