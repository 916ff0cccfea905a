"""The schedule (a door to OpenFL): `src.rounds.schedule`, as OpenFL asks for it.

(OpenFL 1.9's own assigners never validate the final model.)
"""

from openfl.component.assigner import Assigner

from src.errors import PlanError
from src.rounds.schedule import Schedule


class TrainThenValidate(Assigner):
    """each_round: task names of a training round, in order. final: those of the last round.

    `fx aggregator start --task_group evaluation` does one round of the `final` tasks only.
    """

    def __init__(self, *, each_round: list[str], final: list[str], **openfl_settings) -> None:
        self.each_round = list(each_round)
        self.final = list(final)
        super().__init__(**openfl_settings)

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
