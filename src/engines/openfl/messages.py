"""OpenFL's messages to the aggregator, as `src.rounds` reads them, and back."""

from collections.abc import Sequence
from typing import Any

from src.errors import Refused
from src.rounds import tensor_bytes
from src.rounds.aggregator import Answer, Named

MODEL, METRIC = "trained", "metric"  # OpenFL's tags
MODEL_TAGS = {MODEL, "compressed"}  # neither a delta nor lossy


def answer(site: str, round_number: int, task: str, named_tensors: Sequence[Any]) -> Answer:
    """What a site sends after a task. Refused: a tensor is neither a model nor a metric of it."""
    for tensor in named_tensors:
        tags = set(tensor.tags)
        if tensor.round_number != round_number:
            raise Refused(f"a tensor of round {tensor.round_number} in round {round_number}.")
        if MODEL in tags and tags != MODEL_TAGS:
            raise Refused(f"a model with the tags {sorted(tags)}.")
        if not tags & {MODEL, METRIC}:
            raise Refused(f"{tensor.name!r} is neither a model nor a metric.")
    models = [(t.name, t.data_bytes) for t in named_tensors if MODEL in t.tags]
    others = [(t.name, t.data_bytes) for t in named_tensors if MODEL not in t.tags]
    return Answer(site, round_number, task, models, others)


def put_back(models: Named, named_tensors: Sequence[Any]) -> None:
    """What was admitted as models, in the place of what was sent."""
    trained = [tensor for tensor in named_tensors if MODEL in tensor.tags]
    for tensor, (_, content) in zip(trained, models, strict=True):
        tensor.data_bytes = content


def metrics(named_tensors: Sequence[Any]) -> dict[str, float]:
    """The metrics of a message by name. WireError: one is no number."""
    return {
        tensor.name: float(tensor_bytes.decode(tensor.data_bytes))
        for tensor in named_tensors
        if METRIC in tensor.tags
    }
