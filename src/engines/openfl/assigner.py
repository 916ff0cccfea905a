"""The schedule (a door to OpenFL): `src.rounds.schedule`, as OpenFL asks for it.

(OpenFL 1.9's own assigners never validate the final model.)
"""

from openfl.component.assigner import Assigner

from src.errors import PlanError
from src.rounds.schedule import Schedule

EVALUATION = "evaluation"  # OpenFL's word


class TrainThenValidate(Assigner):
    """each_round: task names of a training round, in order. final: those of the last round.

    evaluation: nothing is trained; one round of the `final` tasks on the initial model. Every site
    approves that with its plan, and does nothing else (`fx aggregator start --task_group
    evaluation` says the same again, and is refused without it: sites would do no such thing).
    """

    def __init__(
        self,
        *,
        each_round: list[str],
        final: list[str],
        evaluation: bool = False,
        selected_task_group: str | None = None,
        **openfl_settings,
    ) -> None:
        if selected_task_group and not (evaluation and selected_task_group == EVALUATION):
            raise PlanError(
                f"--task_group {selected_task_group}: sites do only what their approved plan says. "
                "Set assigner.evaluation to true and aggregator.init_state_path to the model, and "
                "have that approved."
            )
        self.each_round = list(each_round)
        self.final = list(final)
        group = EVALUATION if evaluation else None
        super().__init__(selected_task_group=group, **openfl_settings)  # type: ignore[arg-type]

    def define_task_assignments(self) -> None:
        """Refuse task names that the plan does not define."""
        for name in (*self.each_round, *self.final):
            if name not in self.tasks:
                raise PlanError(
                    f"assigner: task {name!r} is not among the plan's tasks {sorted(self.tasks)}."
                )
        self.all_tasks_in_groups = [*self.each_round, *self.final]

    @property
    def schedule(self) -> Schedule:
        """The same without OpenFL."""
        rounds = 0 if self.is_task_group_evaluation() else self.rounds
        return Schedule.of(self.each_round, self.final, rounds)

    def get_all_tasks_for_round(self, round_number: int) -> list[str]:
        """The tasks of one round, the same for every site."""
        return self.schedule.tasks(round_number)

    def get_tasks_for_collaborator(self, collaborator_name: str, round_number: int) -> list[str]:
        """The tasks of one round; every site does all of them."""
        return self.schedule.tasks(round_number)

    def get_collaborators_for_task(self, task_name: str, round_number: int) -> list[str]:
        """The sites that do this task in this round: all or none."""
        return self.authorized_cols if task_name in self.schedule.tasks(round_number) else []
