"""Who does what in which round."""

import pytest

from src.engines.openfl.assigner import TrainThenValidate
from src.errors import PlanError

TASKS = {"validation": {}, "train": {}, "final_validation": {}}


def schedule(**settings) -> TrainThenValidate:
    return TrainThenValidate(
        each_round=["validation", "train"],
        final=["final_validation"],
        tasks=TASKS,
        authorized_cols=["one", "two"],
        rounds_to_train=2,
        **settings,
    )


def test_training_rounds_train_and_the_last_only_validates():
    tasks = [schedule().get_tasks_for_collaborator("one", r) for r in range(3)]
    assert tasks == [["validation", "train"], ["validation", "train"], ["final_validation"]]


def test_every_site_takes_part_in_the_tasks_of_a_round_and_in_no_others():
    assert schedule().get_collaborators_for_task("train", 1) == ["one", "two"]
    assert schedule().get_collaborators_for_task("train", 2) == []
    assert schedule().get_collaborators_for_task("final_validation", 2) == ["one", "two"]


def test_an_evaluation_run_is_one_round_of_the_final_tasks():
    for typed in (None, "evaluation"):
        found = schedule(evaluation=True, selected_task_group=typed)
        assert found.get_all_tasks_for_round(0) == ["final_validation"]
        assert found.is_task_group_evaluation()


@pytest.mark.parametrize(
    "settings",
    [
        {"selected_task_group": "evaluation"},
        {"selected_task_group": "learning", "evaluation": True},
    ],
)
def test_an_aggregator_cannot_choose_tasks_that_no_site_has_approved(settings):
    with pytest.raises(PlanError, match="sites do only what their approved plan says"):
        schedule(**settings)


def test_a_task_that_the_plan_does_not_define_is_refused():
    with pytest.raises(PlanError, match="task 'train' is not among"):
        TrainThenValidate(
            each_round=["train"],
            final=["validation"],
            tasks={"validation": {}},
            authorized_cols=[],
            rounds_to_train=1,
        )
