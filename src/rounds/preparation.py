"""What a site of an encrypted run prepares from its plan: what encrypts, and the noise in it."""

from collections.abc import Callable
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from src.differential_privacy import ledger
from src.differential_privacy.distributed_noise import SharedNoise
from src.errors import PlanError
from src.model_vector import Manifest
from src.plan import plan as plans
from src.plan.view import Plan
from src.secure_aggregation.settings import Encryption
from src.secure_aggregation.site import EncryptingSite
from src.trainable import trainable_names


def encrypting_site(
    encryption: Encryption,
    gate: Any,
    site: str,
    plan: Plan,
    workspace: Path,
    first_model: Callable[[], np.ndarray],
) -> EncryptingSite:
    """A site's side of the encryption, not started. first_model: reads the bundle's, float32 (P,).

    Refused: the run's keys are not here, or an earlier sum of this run has failed verification.
    """
    found = network(plan)  # None: one step for all of it
    sizes = [first_model().size] if found is None else tensor_sizes(found)
    keys, outside = gate.sum_keys(), ledger.folder()
    return EncryptingSite(encryption, gate, site, keys, sizes, first_model, workspace, outside)


def add_noise(noise: Any, encrypting: EncryptingSite, gate: Any, plan: Plan, data: Any) -> None:
    """From now on updates carry the plan's noise (a part, `SiteDP`), which the ledger pays for.

    Refused: the ledger does not pay for one round. SettingError: no room for the noise.
    """
    size, sites = encrypting.fixed.size, len(gate.members.sites)
    shared, flags = shared_noise(noise, encrypting.encryption, plan, sites, lambda: size)
    ready = noise.at_site(gate, encrypting.site, plan, data, shared, flags)
    ready.grid(encrypting.fixed, encrypting.initial())  # a plan without room for it ends here
    encrypting.share.noise = ready
    encrypting.budgets.append(ready.budget)


def shared_noise(
    noise: Any,
    encryption: Encryption,
    plan: Plan,
    sites: int,
    size: Callable[[], int] = lambda: 0,
) -> tuple[SharedNoise, list[bool]]:
    """(the noise for so many enrolled sites, whether each tensor is trainable).

    noise: a part. size: gives that of the model, where the plan names no network. SettingError: too
    few sites, or `trainable` names nothing.
    """
    words, found = noise.trainable, network(plan)
    if found is not None:
        names = trainable_names(found, words)
        sizes, flags = tensor_sizes(found), [name in names for name in found.state_dict()]
    elif words is None:
        sizes, flags = [size()], [True]
    else:
        raise PlanError("compression_pipeline.noise.trainable: the plan names no network.")
    values = sum(size for size, flag in zip(sizes, flags, strict=True) if flag)
    rounds = plan.rounds
    return noise.shared(encryption, sites, rounds, values), flags


def network(plan: Plan) -> Any:
    """The plan's network; None where its task runner brings its own."""
    part = plan.runner.get("model")
    return plans.build(part) if part else None


def tensor_sizes(network: Any) -> list[int]:
    """Numbers of values of a network's tensors, in the order of the wire."""
    tensors = {name: tensor.cpu().numpy() for name, tensor in network.state_dict().items()}
    return [prod(shape) for shape in Manifest.of(tensors).shapes]
