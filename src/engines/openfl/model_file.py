"""Model files (a door to OpenFL): reads the `.pbuf` that a run begins with, and those it leaves."""

import shlex
from pathlib import Path

import numpy as np
from google.protobuf.message import DecodeError
from openfl.protocols import utils

from src.errors import ModelError, Refused, WireError
from src.model_vector import TENSOR
from src.plan import plan as plans
from src.plan.view import Plan
from src.rounds import tensor_bytes
from src.rounds.preparation import encrypting_site
from src.secure_aggregation.chosen import encryption_of
from src.secure_aggregation.framing import is_sealed

PLAN = Path("plan/plan.yaml")


def read_model(path: Path, site: Path | None = None) -> np.ndarray:
    """The model vector float32 (P,) of a `.pbuf` file.

    site: a site's workspace; an encrypted model is verified and opened there.
    ModelError, Refused: not a model of this kit, or one that does not hold; nobody's site.
    """
    message = model_bytes(path)
    if is_sealed(message) and site is not None:
        return open_at_site(site, message)
    return read_plain_model(path)


def read_plain_model(path: Path) -> np.ndarray:
    """The model vector float32 (P,) of a `.pbuf` file that is not encrypted.

    ModelError: no model of this kit; the message names the file.
    """
    message = model_bytes(path)
    if is_sealed(message):
        file = shlex.quote(str(path))
        raise ModelError(
            f"{path}: this model is encrypted, and a site opens it: `--site WORKSPACE` names one "
            f"here; in a site's workspace: `python -m src export --model {file} --out final.pt`."
        )
    try:
        found = tensor_bytes.decode(message)
    except WireError as error:
        raise ModelError(f"{path} is not a model of this kit: {error}") from error
    return np.asarray(found, np.float32)


def model_bytes(path: Path) -> bytes:
    """The model in a `.pbuf` file as it travels: plain, or sealed. Errors as above."""
    try:
        proto = utils.load_proto(str(path))
    except FileNotFoundError:
        raise ModelError(
            f"{path}: no such model. A run writes it after its last training round."
        ) from None
    except DecodeError as error:
        raise ModelError(f"{path} is not a model of this kit: {error}") from error
    found = {tensor.name: tensor.data_bytes for tensor in proto.tensors}
    if TENSOR not in found:
        raise ModelError(f"{path}: expected the tensor {TENSOR!r}, found {sorted(found)}.")
    return found[TENSOR]


def open_at_site(workspace: Path, message: bytes) -> np.ndarray:
    """An encrypted model, opened in a site's workspace with that site's keys.

    Refused: this is no site's workspace, a process works in it, or the model does not hold.
    """
    plan = Plan.read(workspace / PLAN)
    encryption = encryption_of(plan.pipeline)
    if encryption is None:
        raise Refused(f"{workspace / PLAN} does not encrypt; this model is of another run.")
    names = [path.stem.removeprefix("col_") for path in workspace.glob("cert/client/col_*.crt")]
    if len(names) != 1:
        raise Refused(
            f"{workspace.resolve()} is no site's workspace: it holds {len(names)} sites' "
            "certificates. Carry the encrypted model to a site and open it there: "
            "`cd …/workspace`, then the same command."
        )
    gate = plans.build(plan.gate, workspace=str(workspace))
    gate.identify(names[0])
    gate.lock.take()  # what is opened here is noted in the site's state of the run
    initial = workspace / plan.init_weights
    site = encrypting_site(
        encryption, gate, names[0], plan, workspace, lambda: read_plain_model(initial)
    )
    try:
        return site.open(message)
    finally:
        site.close()
        gate.lock.release()
