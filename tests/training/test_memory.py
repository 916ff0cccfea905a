"""What an algorithm keeps at its site: two versions, in one file that is the site's alone."""

import stat

import numpy as np
import pytest

from src.errors import Damaged, Refused
from src.training.memory import History, Memory, every_round_counts

A, B = {"x": np.array([1.0])}, {"x": np.array([2.0])}
ALL, FEW = ("one", "two", "three", "four"), ("one", "two", "three")


def memory(folder, history=None, run="run") -> Memory:
    """As a process finds it that has just started."""
    known = every_round_counts if history is None else lambda number: history
    return Memory(folder / "algorithm.npz", run, known)


def test_a_round_that_counted_gives_what_was_kept_for_after_it(tmp_path):
    memory(tmp_path).keep(3, before=A, after=B)
    found = memory(tmp_path).recall(4)
    assert (found.counted, found.changed, found.lost) == (True, False, False)
    assert found.before["x"] == 1
    assert found.after["x"] == 2


def test_a_round_that_came_to_nothing_does_not_count(tmp_path):
    memory(tmp_path).keep(3, before=A, after=B)
    void = History(2, {2: ALL, 3: ALL, 4: ALL})
    assert not memory(tmp_path, void).recall(4).counted
    first = History(None, dict.fromkeys(range(5), ALL))
    assert not memory(tmp_path, first).recall(4).counted


def test_a_round_that_is_trained_again_begins_where_it_began(tmp_path):
    memory(tmp_path).keep(3, before=A, after=B)
    found = memory(tmp_path).recall(3)
    assert found.before["x"] == 1
    assert not found.after
    assert not found.counted


@pytest.mark.parametrize(
    ("summed", "rosters", "changed"),
    [
        (3, {3: ALL, 4: ALL}, False),
        (3, {3: ALL, 4: FEW}, True),
        (2, {2: FEW, 3: ALL, 4: ALL}, False),  # changed, but when round 3 began that was known
        (2, {2: FEW, 3: FEW, 4: ALL}, True),
        (4, {4: FEW, 5: ALL}, True),  # this site was not there in round 4
        (3, {3: ALL, 4: FEW, 5: ALL}, True),  # nor here, and round 4 was void
        (3, {3: ALL, 4: tuple(reversed(ALL))}, False),
    ],
)
def test_a_roster_counts_as_changed_if_it_has_changed_since(tmp_path, summed, rosters, changed):
    memory(tmp_path).keep(3, before=A, after=B)
    found = memory(tmp_path, History(summed, rosters)).recall(max(rosters))
    assert found.changed is changed
    assert not found.lost


@pytest.mark.parametrize("kept", [None, 1])
def test_rounds_of_which_nothing_is_kept_were_lost(tmp_path, kept):
    if kept is not None:
        memory(tmp_path).keep(kept, before=A, after=B)
    assert memory(tmp_path).recall(3).lost
    assert memory(tmp_path, History(2, {2: ALL, 3: ALL})).recall(3).lost
    late = History(2, {2: FEW, 3: ALL})
    assert not memory(tmp_path, late).recall(3).lost


def test_a_run_begins_with_nothing_kept(tmp_path):
    found = memory(tmp_path).recall(0)
    assert (found.before, found.after, found.lost) == ({}, {}, False)


def test_what_another_run_has_kept_is_not_looked_at(tmp_path):
    memory(tmp_path, run="an earlier one").keep(0, before=A, after=B)
    assert not memory(tmp_path).recall(0).before


def test_a_new_start_of_the_same_run_begins_with_nothing(tmp_path):
    memory(tmp_path).keep(7, before=A, after=B)
    assert not memory(tmp_path).recall(0).before


def test_an_older_round_is_refused(tmp_path):
    memory(tmp_path).keep(7, before=A, after=B)
    with pytest.raises(Refused, match="is in round 5; this site has trained round 7"):
        memory(tmp_path).recall(5)


def test_the_file_is_readable_by_its_user_alone(tmp_path):
    memory(tmp_path).keep(0, before=A, after=B)
    (path,) = tmp_path.iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("damage", [lambda c: c[:-20], lambda c: b"", lambda c: b"\x00" + c[1:]])
def test_a_damaged_file_is_said_to_be_damaged(tmp_path, damage):
    memory(tmp_path).keep(0, before=A, after=B)
    path = tmp_path / "algorithm.npz"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(Damaged, match=r"algorithm.npz is damaged .*Restore it from the backup"):
        memory(tmp_path).recall(1)


def test_a_changed_byte_is_found(tmp_path):
    memory(tmp_path).keep(0, before=A, after={"x": np.zeros(100)})
    path = tmp_path / "algorithm.npz"
    content = bytearray(path.read_bytes())
    content[content.index(bytes(500))] ^= 1
    path.write_bytes(content)
    with pytest.raises(Damaged):
        memory(tmp_path).recall(1)


def test_without_a_file_it_lasts_as_long_as_the_process():
    found = Memory()
    found.keep(0, before=A, after=B)
    assert found.recall(1).after["x"] == 2
