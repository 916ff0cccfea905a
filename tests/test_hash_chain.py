"""A chain of lines keeps what was written, and shows what was altered, dropped or moved."""

import json
import os
import signal
import subprocess
import sys
from threading import Thread

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from src import hash_chain
from src.errors import Damaged
from src.hash_chain import HashChain


@pytest.fixture
def made(tmp_path) -> HashChain:
    made = HashChain(tmp_path / "chain.jsonl")
    for number in range(5):
        made.append(event="counted", number=number)
    return made


def numbers(made: HashChain) -> list[int]:
    return [line["number"] for line in hash_chain.read(made.path)]


def test_lines_come_back_in_order_and_each_holds_the_hash_of_the_one_before(tmp_path):
    made = HashChain(tmp_path / "deep" / "chain.jsonl")
    heads = [made.append(event=event) for event in ("one", "two", "three")]
    lines = hash_chain.read(made.path)
    assert [line["event"] for line in lines] == ["one", "two", "three"]
    assert [line["previous"] for line in lines] == [hash_chain.START, *heads[:2]]
    assert hash_chain.digest(lines[-1]) == heads[-1]


def test_content_may_be_made_from_the_place_where_it_will_stand(made):
    head = hash_chain.digest(hash_chain.read(made.path)[-1])
    made.append_made(lambda n, previous: {"event": "x", "number": 5, "told": [n, previous]})
    assert hash_chain.read(made.path)[-1]["told"] == [5, head]


def test_lines_that_belong_together_follow_each_other(made):
    with made.together() as append:
        head = append(lambda *_: {"number": 5})
        append(lambda n, previous: {"number": n, "told": previous})
    lines = hash_chain.read(made.path)
    assert numbers(made) == [0, 1, 2, 3, 4, 5, 6]
    assert lines[6]["told"] == head == hash_chain.digest(lines[5])


def test_lines_that_belong_together_are_written_all_or_none(made):
    def append_two() -> None:
        with made.together() as append:
            append(lambda *_: {"number": 5})
            append(lambda *_: {"number": 1 // 0})

    with pytest.raises(ZeroDivisionError):
        append_two()
    assert numbers(made) == [0, 1, 2, 3, 4]


@given(data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_altered_dropped_moved_or_doubled_line_is_found(made, data):
    text = made.path.read_bytes()
    lines = text.splitlines(keepends=True)
    act = data.draw(st.sampled_from(["alter", "drop", "swap", "double", "respell"]))
    place = data.draw(st.integers(0, len(lines) - 2))  # the end is the next test's
    if act == "alter":
        content = json.loads(lines[place]) | {"number": 99}
        lines[place] = hash_chain.encoded(content)
    elif act == "drop":
        del lines[place]
    elif act == "swap":
        lines[place], lines[place + 1] = lines[place + 1], lines[place]
    elif act == "double":
        lines.insert(place, lines[place])
    else:
        lines[place] = lines[place].replace(b": ", b":")
    made.path.write_bytes(b"".join(lines))
    try:
        with pytest.raises(Damaged, match=r"line \d+"):
            hash_chain.read(made.path)
    finally:
        made.path.write_bytes(text)


def test_an_end_that_was_cut_off_is_not_found_by_the_chain_alone(made):
    lines = made.path.read_bytes().splitlines(keepends=True)
    made.path.write_bytes(b"".join(lines[:-1]))
    assert numbers(made) == [0, 1, 2, 3]


@pytest.mark.parametrize("torn", [1, 2, 20, 100])
def test_a_torn_last_line_is_refused_by_readers_and_cut_off_by_the_next_writer(made, torn):
    content = made.path.read_bytes()
    made.path.write_bytes(content[:-torn])
    with pytest.raises(Damaged, match="line 4 is not readable"):
        hash_chain.read(made.path)
    made.append(event="counted", number=7)
    assert numbers(made) == [0, 1, 2, 3, 7]


def test_repair_cuts_off_a_torn_line_and_nothing_else(made):
    whole = made.path.read_bytes()
    made.repair()
    assert made.path.read_bytes() == whole
    made.path.write_bytes(whole + b'{"n": 5, "eve')
    made.repair()
    assert made.path.read_bytes() == whole
    made.path.unlink()
    made.repair()
    assert not made.path.exists()


def test_nothing_is_written_after_a_last_line_that_makes_no_sense(made):
    with made.path.open("ab") as file:
        file.write(b"nonsense\n")
    with pytest.raises(Damaged, match="last line is not readable"):
        made.append(event="counted", number=5)


def test_lines_longer_than_a_block_are_chained(made):
    made.append(event="long", number=5, text="x" * 200_000)
    made.append(event="counted", number=6)
    assert numbers(made) == list(range(7))


def test_threads_wait_for_each_other(made):
    def write() -> None:
        for number in range(20):
            HashChain(made.path).append(event="counted", number=number)

    threads = [Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(numbers(made)) == 5 + 80


def test_a_writer_that_is_killed_has_kept_every_line_it_was_told_of(tmp_path):
    path = tmp_path / "chain.jsonl"
    code = (
        "import sys; from pathlib import Path; from src.hash_chain import HashChain\n"
        "made, number = HashChain(Path(sys.argv[1])), 0\n"
        "while True:\n"
        "    made.append(event='counted', number=number); print(number, flush=True); number += 1"
    )
    with subprocess.Popen([sys.executable, "-c", code, path], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        told = [int(writer.stdout.readline()) for _ in range(30)]
        os.kill(writer.pid, signal.SIGKILL)
    HashChain(path).append(event="counted", number=-1)
    kept = [line["number"] for line in hash_chain.read(path)]
    assert kept[: len(told)] == told
    assert kept[:-1] == list(range(len(kept) - 1))  # at most one more line than was told


def test_the_mode_is_that_of_a_new_file(tmp_path):
    HashChain(tmp_path / "own.jsonl", mode=0o600).append(event="x")
    assert (tmp_path / "own.jsonl").stat().st_mode & 0o777 == 0o600


def test_no_file_is_no_chain(tmp_path):
    with pytest.raises(Damaged, match=r"none.jsonl is missing"):
        hash_chain.read(tmp_path / "none.jsonl")


def test_what_is_not_a_line_of_a_chain_is_refused(tmp_path):
    path = tmp_path / "list.jsonl"
    path.write_text("[1, 2]\n")
    with pytest.raises(Damaged, match="line 0 is not readable"):
        hash_chain.read(path)
