"""Two processes of one site are told apart, and a restart from both."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from src.errors import Refused, TakenOver
from src.rounds import instances
from src.rounds.instances import Instances, new_instance, speaking, spoken_by

A, B, C = "a" * 32, "b" * 32, "c" * 32


@pytest.fixture
def known() -> Instances:
    """Site one has introduced itself as A."""
    made = Instances()
    made.introduced("one", A)
    return made


def test_a_process_speaks_once_it_has_introduced_itself(known):
    assert known.speaks("one", A)
    assert not known.speaks("one", B)
    known.check("one", A)
    known.check("one", B)  # not yet known, but nobody has taken over from it


def test_a_restart_takes_over_without_an_alarm(known):
    assert known.introduced("one", B)
    assert known.speaks("one", B)
    assert not known.speaks("one", A)
    known.check("one", B)


def test_the_process_that_was_taken_over_from_is_told_when_it_calls_again(known):
    known.introduced("one", B)
    for call in (known.check, known.introduced):
        with pytest.raises(TakenOver, match=r"another process of this site: b{8}… .* a{8}…"):
            call("one", A)
    assert known.speaks("one", B)


def test_one_of_three_stays(known):
    known.introduced("one", B)
    known.introduced("one", C)
    for old in (A, B):
        with pytest.raises(TakenOver, match="this site runs twice"):
            known.check("one", old)
    assert known.speaks("one", C)


def test_introducing_oneself_again_changes_nothing(known):
    assert not known.introduced("one", A)
    assert known.speaks("one", A)


def test_sites_do_not_mind_each_other(known):
    known.introduced("two", A)
    known.introduced("two", B)
    known.check("one", A)


def test_a_call_that_names_no_process_is_let_in(known):
    """As of an engine that cannot tell: then two machines of a site are not told apart."""
    known.check("one", None)
    assert known.speaks("one", None)


def test_whose_call_is_answered_is_known_in_its_thread_alone():
    with ThreadPoolExecutor(1) as pool, spoken_by(A):
        assert speaking() == A
        assert pool.submit(speaking).result() is None
    assert speaking() is None


@pytest.mark.parametrize("instance", ["", "A" * 32, "a" * 31, "a" * 32 + "\n", "../../x"])
def test_what_is_no_instance_is_refused(known, instance):
    with pytest.raises(Refused, match="is no instance of one"):
        known.introduced("one", instance)


def test_a_member_with_ever_new_processes_fills_no_memory(known, monkeypatch):
    monkeypatch.setattr(instances, "MOST_RETIRED", 5)
    for _ in range(50):
        known.introduced("one", new_instance())
    assert len(known._retired["one"]) == 5
