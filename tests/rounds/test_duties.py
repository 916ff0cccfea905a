"""A site's duties: its own plan says what it does; by hand, on a schedule of three rounds."""

from contextlib import closing

import pytest

from src.errors import Refused
from src.plan import plan as plans
from src.plan.view import Plan
from src.rounds.duties import IN_MEMORY_BYTES, Duties
from src.rounds.schedule import Schedule
from tests.rounds.conftest import ROOT

OWN = ["validation", "train"]


@pytest.fixture
def duties(tmp_path):
    with closing(Duties(Schedule.of(OWN, ["final_validation"], 3), tmp_path)) as found:
        yield found


@pytest.mark.parametrize(
    ("number", "tasks"),
    [(0, OWN), (2, ["train"]), (2, []), (3, ["final_validation"])],
)
def test_what_the_own_plan_says_is_done_or_what_is_left_of_it(duties, number, tasks):
    assert duties.asked(number, tasks, over=False) == tasks


@pytest.mark.parametrize(
    ("number", "tasks"),
    [
        (0, ["locally_tuned_model_validation"]),
        (0, [*OWN, "locally_tuned_model_validation"]),
        (0, ["final_validation"]),
        (1, ["train", "validation"]),
        (1, ["train", "train"]),
        (3, ["train"]),
    ],
    ids=["another", "one more", "of the end", "other order", "twice", "after the last"],
)
def test_whatever_else_is_asked_for_is_refused(duties, number, tasks):
    with pytest.raises(Refused, match=r"this site's approved plan says .* Nothing was sent"):
        duties.asked(number, tasks, over=False)


@pytest.mark.parametrize("number", [-1, 4, 2**31 - 1])
def test_a_round_that_the_plan_does_not_have_is_refused(duties, number):
    with pytest.raises(Refused, match="plan has rounds 0 to 3"):
        duties.asked(number, [], over=False)


def test_when_the_run_is_over_nothing_is_done_whatever_is_named(duties):
    assert duties.asked(7, ["train"], over=True) == []


@pytest.mark.parametrize("size", [10, 3 * IN_MEMORY_BYTES])
def test_a_task_that_was_answered_is_answered_with_the_same_bytes(duties, size):
    message = bytes(range(256)) * (size // 256 + 1)
    assert duties.answered(0, "train") is None
    duties.remember(0, "train", message)
    assert [duties.answered(0, "train") for _ in range(3)] == [message] * 3
    assert duties.answered(0, "validation") is None
    assert duties.answered(1, "train") is None


def test_what_was_answered_long_ago_is_not_worked_out_anew(duties):
    for number in range(3):
        duties.remember(number, "train", b"%d" % number)
    assert duties.answered(1, "train") == b"1"
    with pytest.raises(Refused, match="restored from an old copy"):
        duties.answered(0, "train")


def test_an_answer_that_waits_leaves_no_file_behind(duties, tmp_path):
    duties.remember(0, "train", bytes(3 * IN_MEMORY_BYTES))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("evaluation", "rounds"), [(False, 10), (True, 0)])
def test_the_schedule_is_the_plans_and_an_evaluation_is_what_the_plan_calls_so(evaluation, rounds):
    plan = plans.read(ROOT / "plan" / "plan.yaml")
    plan["assigner"]["settings"]["evaluation"] = evaluation
    schedule = Schedule.of_plan(Plan(plan))
    assert schedule.rounds == rounds
    assert schedule.tasks(rounds) == ["final_validation"]
