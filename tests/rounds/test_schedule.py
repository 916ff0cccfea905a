"""The schedule: train, then validate once more."""

from src.rounds.schedule import Schedule, brings_update

SCHEDULE = Schedule.of(["validation", "train"], ["final_validation"], 2)


def test_the_round_after_the_last_training_only_validates():
    assert [SCHEDULE.tasks(n) for n in range(3)] == [
        ["validation", "train"],
        ["validation", "train"],
        ["final_validation"],
    ]
    assert [SCHEDULE.trains(n) for n in range(3)] == [True, True, False]
    assert [SCHEDULE.over(n) for n in range(4)] == [False, False, False, True]


def test_an_evaluation_is_the_last_round_alone():
    evaluation = Schedule.of(["validation", "train"], ["final_validation"], 0)
    assert evaluation.tasks(0) == ["final_validation"]
    assert evaluation.over(1)


def test_a_task_that_trains_is_known_by_its_name():
    assert [task for task in (*SCHEDULE.each_round, *SCHEDULE.final) if brings_update(task)] == [
        "train"
    ]
