"""One round through NVIDIA FLARE's own encryption classes, by steps: `python … FOLDER CONTEXTS`.

CONTEXTS is `shipped`, where its serialiser sends the whole TenSEAL context with every tensor, or
`once`, where only the ciphertexts are sent. This file runs in FLARE's own environment.
"""

import json
import logging
import sys
from pathlib import Path

import numpy as np
import tenseal
from nvflare.apis.dxo import DXO, DataKind, MetaKey, from_shareable
from nvflare.apis.fl_context import FLContext
from nvflare.app_common.aggregators.weighted_aggregation_helper import WeightedAggregationHelper
from nvflare.app_common.decomposers import common_decomposers
from nvflare.app_opt.he import decomposers
from nvflare.app_opt.he.model_decryptor import HEModelDecryptor
from nvflare.app_opt.he.model_encryptor import HEModelEncryptor
from nvflare.fuel.utils import fobs
from nvflare.lighter.impl.he import HEBuilder
from steps import Steps  # scripts/benchmark/meter/steps.py, copied beside the work


class OneContext(fobs.Decomposer):
    """FLARE's decomposer of CKKS vectors, without the context that the receiver has already.

    With it FLARE's own classes show what they cost if the context is sent once and not with every
    tensor.
    """

    context: "tenseal.Context"

    def supported_type(self):
        """The type that this decomposer serialises."""
        return tenseal.CKKSVector

    def decompose(self, target, manager=None):
        """Serialise a vector."""
        return target.serialize()

    def recompose(self, data, manager=None):
        """Read a vector in the receiver's context."""
        return tenseal.ckks_vector_from(self.context, data)


def main(folder: Path, contexts: str) -> None:
    """Do every party's work once, and write `mean.npy` and `result.json`.

    folder: holds the work that `encryption_study.write_work` has made.
    contexts: "shipped" or "once".
    """
    work = json.loads((folder / "work.json").read_text(encoding="utf-8"))
    cases, shapes = work["cases"], work["shapes"]
    initial = np.load(folder / "initial.npy")
    changes = np.load(folder / "models.npy") - initial
    builder = HEBuilder()
    builder.initialize(None, None)
    client, server = (
        tenseal.context_from(builder.get_serialized_context(is_client=role))
        for role in (True, False)
    )
    common_decomposers.register()
    if contexts == "once":
        OneContext.context = server
        fobs.register(OneContext)
        decomposers.register.registered = True  # the first one to come is kept
    decomposers.register()

    steps, uploads, about = Steps(), [], FLContext()
    for change, count in zip(changes, cases, strict=True):
        encryptor = HEModelEncryptor()
        encryptor.tenseal_context, encryptor.encrypt_layers = client, [True]
        encryptor.n_iter = count
        tensors = split(change, shapes)
        with steps.step("seal"):
            encrypted, done = encryptor.encryption(tensors, about)
            uploads.append(dumped(encrypted, done))
        del encrypted, tensors
    helper = WeightedAggregationHelper(weigh_by_local_iter=False)
    for number, (upload, count) in enumerate(zip(uploads, cases, strict=True)):
        with steps.step("add"):
            found = from_shareable(fobs.loads(upload))
            helper.add(found.data, count, f"site-{number}", 0)
        del found
    with steps.step("finish"):
        down = dumped(helper.get_result(), done)
    sent = max(map(len, uploads))
    uploads.clear()
    if contexts == "once":
        OneContext.context = client
    decryptor = HEModelDecryptor()
    decryptor.tenseal_context = client
    with steps.step("open"):
        sums = from_shareable(fobs.loads(down)).data
        for vector in sums.values():
            vector.link_context(client)
        plain = decryptor.decryption(sums, done, about)
        change = np.concatenate([np.asarray(plain[name]) for name in sorted(plain)])
        mean = initial + change.astype(np.float32)
    np.save(folder / "mean.npy", mean)
    result = {"up": sent, "down": len(down), "steps": steps.figures}
    (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")


def split(vector: np.ndarray, shapes: list[list[int]]) -> dict[str, np.ndarray]:
    """The vector as named tensors."""
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes])
    parts = np.split(vector, ends[:-1])
    return {
        f"t{number:03d}": part.reshape(shape)
        for number, (part, shape) in enumerate(zip(parts, shapes, strict=True))
    }


def dumped(tensors: dict, done: dict) -> bytes:
    """The bytes that FLARE would send."""
    message = DXO(DataKind.WEIGHT_DIFF, data=tensors)
    message.set_meta_prop(MetaKey.PROCESSED_KEYS, done)
    return fobs.dumps(message.to_shareable())


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    main(Path(sys.argv[1]), sys.argv[2])
