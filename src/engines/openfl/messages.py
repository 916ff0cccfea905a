"""OpenFL's messages to the aggregator, as `src.rounds` reads them, and back."""

from collections.abc import Iterator, Sequence
from typing import Any

from openfl.protocols import aggregator_pb2, base_pb2

from src.errors import Refused
from src.refusal import marked
from src.rounds import tensor_bytes
from src.rounds.admission import BESIDE_BYTES
from src.rounds.aggregator import Answer, Named

MODEL, METRIC = "trained", "metric"  # OpenFL's tags
TENSORS = aggregator_pb2.TaskResults.DESCRIPTOR.fields_by_name["tensors"].number
DATA = base_pb2.NamedTensor.DESCRIPTOR.fields_by_name["data_bytes"].number
FIXED = {1: 8, 5: 4}  # bytes of a field by its kind
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


def within_bounds(content: bytes) -> bytes:
    """The same bytes of a `TaskResults`. Refused: more of them than a few lie outside its tensors.

    Parsed, two bytes can become an object of a hundred: a message of the size of a model, made of
    empty fields, would take fifty times its size.
    """
    beside = 0
    for number, size, tensor in _fields(memoryview(content)):
        if number != TENSORS or tensor is None:
            tensor = memoryview(b"")
        beside += size - len(tensor)
        _refuse_more(beside)
        for inner, inner_size, data in _fields(tensor):
            beside += inner_size - (len(data) if inner == DATA and data is not None else 0)
            _refuse_more(beside)
    return content


def _refuse_more(beside: int) -> None:
    if beside > BESIDE_BYTES:
        raise Refused(marked(f"more than {BESIDE_BYTES} bytes beside its tensors."))


def _fields(content: memoryview) -> Iterator[tuple[int, int, memoryview | None]]:
    """Each field of a message as it travels: number, bytes in all, content where it has a length.

    (protobuf.dev, encoding.) Refused: this is no message.
    """
    place = 0
    while place < len(content):
        began, value = place, None
        key, place = _varint(content, place)
        kind = key & 7
        if kind == 0:
            _, place = _varint(content, place)
        elif kind == 2:
            length, place = _varint(content, place)
            value = content[place : place + length]
            place += length
        elif kind in FIXED:
            place += FIXED[kind]
        else:
            raise Refused(marked(f"a field of kind {kind}, which no message of this run has."))
        if place > len(content):
            raise Refused(marked("a field that ends beyond its message."))
        yield key >> 3, place - began, value


def _varint(content: memoryview, place: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if place >= len(content):
            break
        byte = content[place]
        place += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, place
    raise Refused(marked("a number that does not end."))


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
