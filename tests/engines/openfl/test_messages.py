"""Messages before they are parsed: as large as a model where one is, and nowhere else."""

import random
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openfl.protocols.aggregator_pb2 import TaskResults
from openfl.protocols.base_pb2 import NamedTensor

from src.engines.openfl.messages import within_bounds
from src.errors import Refused
from src.rounds.admission import BESIDE_BYTES

MODEL = bytes(3 * 2**20)


def results(*tensors: NamedTensor) -> bytes:
    message = TaskResults(task_name="train", round_number=3, data_size=7, tensors=tensors)
    message.header.sender = "one"
    return message.SerializeToString()


def model(**about) -> NamedTensor:
    tensor = NamedTensor(name="model", data_bytes=MODEL, tags=["trained", "compressed"], **about)
    tensor.transformer_metadata.add(int_list=[1])
    return tensor


def test_a_model_and_its_metrics_pass_as_they_are():
    metrics = [NamedTensor(name=f"dice_{n}", data_bytes=bytes(14)) for n in range(20)]
    content = results(model(), *metrics)
    assert within_bounds(content) is content


@pytest.mark.parametrize(
    "content",
    [
        results(model()) + b"\x2a\x00" * BESIDE_BYTES,
        results(NamedTensor(name="x", data_bytes=MODEL, tags=["a"] * BESIDE_BYTES)),
        results(*(NamedTensor(name="x" * 100) for _ in range(1000))),
        TaskResults(task_name="t" * (BESIDE_BYTES + 1)).SerializeToString(),
        results(model()) + b"\x7a\x84\x80\x04" + bytes(BESIDE_BYTES + 4),
    ],
    ids=["empty tensors", "tags", "names", "task", "unknown field"],
)
def test_a_message_of_many_small_parts_is_not_parsed(content):
    with pytest.raises(Refused, match="more than 65536 bytes beside its tensors"):
        within_bounds(content)


@pytest.mark.parametrize("content", [b"\xff" * 12, b"\x2a\x7f", b"\x0b", b"\x09\x00", b"\x2a"])
def test_what_is_no_message_is_refused(content):
    with pytest.raises(Refused):
        within_bounds(content)


@given(st.binary(max_size=300))
def test_any_bytes_pass_or_are_refused(content):
    with suppress(Refused):
        assert within_bounds(content) is content


def test_a_message_with_one_byte_changed_passes_or_is_refused():
    good, rng = results(model()), random.Random(1)
    for _ in range(300):
        place = rng.randrange(200)
        changed = good[:place] + bytes([rng.randrange(256)]) + good[place + 1 :]
        with suppress(Refused):
            assert within_bounds(changed) is changed
