"""The pipeline (a door to OpenFL): how a tensor becomes bytes on the wire, and back.

Plain: dtype and shape are kept as they are. (OpenFL 1.9's own pipelines cast everything to
float32, and call `np.reshape(newshape=)`, which numpy 2.4 removed.) Encrypted: what a site trains
leaves it sealed, and what comes down is opened; metrics are plain numbers.
"""

from collections.abc import Callable, Mapping
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError
from openfl.pipelines.pipeline import TransformationPipeline, Transformer
from openfl.protocols import utils

from src.differential_privacy.distributed_noise import SharedNoise
from src.errors import Refused
from src.model_vector import TENSOR, Manifest
from src.plan import plan as plans
from src.plan.parts import Declares
from src.secure_aggregation import framing
from src.secure_aggregation.framing import WireError
from src.secure_aggregation.settings import Encryption
from src.secure_aggregation.site import EncryptingSite
from src.trainable import trainable_names

MAGIC = b"PLN1"
DTYPES = ("<f4", "<f8", "|u1", "<i4", "<i8")
MOST_DIMENSIONS = 8
PLAN = Path("plan/plan.yaml")


class PlainTransformer(Transformer):
    """Array to self-describing bytes: magic, dtype, number of axes, shape, values (C order)."""

    lossy = False

    def forward(self, data: np.ndarray, **kwargs) -> tuple[bytes, dict]:
        """The array as bytes, and the metadata that OpenFL demands but we do not need."""
        array = np.asarray(data)
        if array.dtype.newbyteorder("<").str not in DTYPES:
            array = array.astype(np.float32)
        array = np.asarray(array, array.dtype.newbyteorder("<"))
        header = bytes([DTYPES.index(array.dtype.str), array.ndim])
        shape = np.asarray(array.shape, "<u8").tobytes()
        return MAGIC + header + shape + array.tobytes(), {"int_list": [array.ndim]}

    def backward(self, data: bytes, metadata: dict, **kwargs) -> np.ndarray:
        """The array that `forward` was given, read-only. WireError: damaged or foreign bytes."""
        if framing.is_sealed(data):
            raise WireError("an encrypted model; a site opens it: python -m src export")
        if data[:4] != MAGIC or len(data) < 6:
            raise WireError(f"expected a tensor that begins with {MAGIC!r}, got {data[:4]!r}.")
        dtype_code, dimensions = data[4], data[5]
        if dtype_code >= len(DTYPES) or dimensions > MOST_DIMENSIONS:
            raise WireError(f"unknown dtype code {dtype_code} or {dimensions} axes.")
        start = 6 + 8 * dimensions
        if len(data) < start:
            raise WireError(f"expected a header of {start} bytes, got {len(data)} bytes in all.")
        dtype = np.dtype(DTYPES[dtype_code])
        shape = tuple(int(n) for n in np.frombuffer(data[6:start], "<u8"))
        values = 1
        for length in shape:
            values *= length
        if len(data) - start != values * dtype.itemsize:
            raise WireError(
                f"shape {shape} of {dtype} needs {values * dtype.itemsize} bytes, "
                f"got {len(data) - start}."
            )
        return np.frombuffer(data, dtype, offset=start).reshape(shape)


class PlainPipeline(TransformationPipeline):
    """Nothing hidden, nothing lost: the baseline that every other pipeline is measured against."""

    DECLARES = Declares(
        leaves="the whole model after each round of local training, readable by the aggregator; "
        "the numbers of training and of validation cases",
        privacy="none but TLS: a model can leak what it was trained on, and the aggregator reads "
        "it",
        encrypted=False,
    )

    encryption: Encryption | None = None
    noise: Any = None

    def __init__(self) -> None:
        super().__init__(transformers=[PlainTransformer()])

    def at_site(
        self, gate: Any, site: str, plan: Mapping[str, Any], runner: Any
    ) -> EncryptingSite | None:
        """What seals and opens at a site, started. Here: nothing does."""
        return None


class SealingTransformer(PlainTransformer):
    """At a site, given what seals; elsewhere sealed bytes pass through unopened."""

    def __init__(self) -> None:
        self._sealed: EncryptingSite | None = None
        self._cases: Callable[[], int] = lambda: 0

    def seal_with(self, sealed: EncryptingSite, cases: Callable[[], int]) -> None:
        """From now on every array that is not a single number is sealed."""
        self._sealed, self._cases = sealed, cases

    def forward(self, data: np.ndarray, **kwargs) -> tuple[bytes, dict]:
        """Bytes. Refused: this site must not send an update now."""
        array = np.asarray(data)
        if array.dtype == np.uint8 and framing.is_sealed(array[:4].tobytes()):
            return array.tobytes(), {"int_list": [array.ndim]}
        if self._sealed is None or array.ndim == 0:
            return super().forward(array)
        return self._sealed.seal(array, self._cases()), {"int_list": [array.ndim]}

    def backward(self, data: bytes, metadata: dict, **kwargs) -> np.ndarray:
        """At a site the model, verified. Refused: it is not sealed, or does not hold."""
        if not framing.is_sealed(data):
            array = super().backward(data, metadata)
            if self._sealed is not None and array.ndim:
                raise Refused("The aggregator has sent a model that is not encrypted.")
            return array
        if self._sealed is None:  # `fx model save`: in a site's workspace, but without its process
            return open_here(Path(), data)
        return self._sealed.open(data)


class EncryptedPipeline(TransformationPipeline):
    """settings: of `Encryption`. Aggregator and desk hold no key; here they only pass bytes on.

    noise: a part (`src.differential_privacy.site_level.SiteDP`) for differential privacy per site.
    """

    DECLARES = Declares(
        leaves="the whole model after each round of local training, encrypted, masked and tagged",
        privacy="the aggregator adds what it cannot read; the sites read the sum of a round's "
        "updates, which encryption does not protect; metrics, sizes and times are in the clear",
        encrypted=True,
    )

    def __init__(
        self,
        *,
        bits: int = 24,
        min_sites: int | None = None,
        accomplices: int = 1,
        max_void: int = 2,
        max_roster_changes: int = 2,
        most_cases: int = 100,
        cases: Mapping[str, int] | None = None,
        noise: Mapping[str, Any] | None = None,
    ) -> None:
        self.encryption = Encryption(
            bits=bits,
            min_sites=min_sites,
            accomplices=accomplices,
            max_void=max_void,
            max_roster_changes=max_roster_changes,
            most_cases=most_cases,
            cases=cases or {},
        )
        self.noise: Any = plans.build(noise) if noise else None
        if self.noise is not None:
            self.noise.check(self.encryption)
        self._transformer = SealingTransformer()
        super().__init__(transformers=[self._transformer])

    def at_site(self, gate: Any, site: str, plan: Mapping[str, Any], runner: Any) -> EncryptingSite:
        """Take the run's keys from the gate and start sealing.

        Refused, RuntimeError, ValueError: it cannot, or must not.
        """
        sealed = sealed_site(self.encryption, gate, site, plan)
        if self.noise is not None:
            size, sites = sealed.fixed.size, len(gate.members.sites)
            shared, flags = self.shared_noise(plan, sites, lambda: size)
            ready = self.noise.at_site(gate, site, plan, runner.data_loader, shared, flags)
            ready.grid(sealed.fixed, sealed.initial())  # a plan without room for it ends here
            sealed.noise = ready
            sealed.budgets.append(ready.budget)
        sealed.start()
        self._transformer.seal_with(sealed, runner.get_train_data_size)
        return sealed

    def shared_noise(
        self, plan: Mapping[str, Any], sites: int, size: Callable[[], int] = lambda: 0
    ) -> tuple[SharedNoise, list[bool]]:
        """(the noise for so many enrolled sites, whether each tensor is trainable). Needs `noise`.

        size: gives that of the model, where the plan names no network. ValueError: too few sites,
        or `trainable` names nothing.
        """
        words, found = self.noise.trainable, network(plan)
        if found is not None:
            names = trainable_names(found, words)
            sizes, flags = tensor_sizes(found), [name in names for name in found.state_dict()]
        elif words is None:
            sizes, flags = [size()], [True]
        else:
            raise ValueError("compression_pipeline.noise.trainable: the plan names no network.")
        values = sum(size for size, flag in zip(sizes, flags, strict=True) if flag)
        rounds = plan["aggregator"]["settings"]["rounds_to_train"]
        return self.noise.shared(self.encryption, sites, rounds, values), flags


def sealed_site(
    encryption: Encryption, gate: Any, site: str, plan: Mapping[str, Any]
) -> EncryptingSite:
    """A site's side of the encryption, from its gate and its plan."""
    initial = gate.workspace / plan["aggregator"]["settings"]["init_state_path"]

    def first_model() -> np.ndarray:
        return read_plain_model(initial)

    found = network(plan)  # None: one step for all of it
    sizes = [first_model().size] if found is None else tensor_sizes(found)
    keys = gate.sum_keys()
    return EncryptingSite(encryption, gate, site, keys, sizes, first_model, gate.workspace)


def network(plan: Mapping[str, Any]) -> Any:
    """The plan's network; None where its task runner brings its own."""
    part = (plan["task_runner"].get("settings") or {}).get("model")
    return plans.build(part) if part else None


def tensor_sizes(network: Any) -> list[int]:
    """Numbers of values of a network's tensors, in the order of the wire."""
    tensors = {name: tensor.cpu().numpy() for name, tensor in network.state_dict().items()}
    return [prod(shape) for shape in Manifest.of(tensors).shapes]


def open_here(workspace: Path, message: bytes) -> np.ndarray:
    """A sealed model, opened in a site's workspace with that site's keys.

    Refused: this is no site's workspace, or the model does not hold.
    """
    plan = plans.read(workspace / PLAN)
    encryption = plans.build(plan["compression_pipeline"]).encryption
    if encryption is None:
        raise Refused(f"{workspace / PLAN} does not encrypt; this model is of another run.")
    names = [path.stem.removeprefix("col_") for path in workspace.glob("cert/client/col_*.crt")]
    if len(names) != 1:
        raise Refused(
            f"{workspace.resolve()} is no site's workspace: it holds {len(names)} sites' "
            "certificates. An encrypted model can be opened at a site alone."
        )
    gate = plans.build(plan["collaborator"]["settings"]["gate"], workspace=str(workspace))
    gate.identify(names[0])
    site = sealed_site(encryption, gate, names[0], plan)
    try:
        return site.open(message)
    finally:
        site.close()


def read_plain_model(path: Path) -> np.ndarray:
    """The model vector float32 (P,) of a `.pbuf` file that is not encrypted.

    FileNotFoundError, ValueError: no model of this kit; the message names the file.
    """
    try:
        found = PlainTransformer().backward(model_bytes(path), {})
    except WireError as error:
        raise ValueError(f"{path} is not a model of this kit: {error}") from error
    return np.asarray(found, np.float32)


def model_bytes(path: Path) -> bytes:
    """The model in a `.pbuf` file as it travels: plain, or sealed. Errors as above."""
    try:
        proto = utils.load_proto(str(path))
    except FileNotFoundError:
        raise FileNotFoundError(
            f"{path}: no such model. A run writes it after its last training round."
        ) from None
    except DecodeError as error:
        raise ValueError(f"{path} is not a model of this kit: {error}") from error
    found = {tensor.name: tensor.data_bytes for tensor in proto.tensors}
    if TENSOR not in found:
        raise ValueError(f"{path}: expected the tensor {TENSOR!r}, found {sorted(found)}.")
    return found[TENSOR]
