"""The run state: a mark beside the tensor database that ties the checkpoint to one run.

OpenFL 1.9 resumes from whatever database it finds. With one of another run, or of a run that has
ended, it sends every site home at once, with exit code 0 and nothing trained.
"""

import json
from pathlib import Path

from src.errors import StaleState
from src.files import read_own_json, write_atomically


class RunState:
    """The mark `run.json` in the folder of the tensor database `database`."""

    def __init__(self, database: Path) -> None:
        self.database = database
        self.mark = database.with_name("run.json")

    def claim(self, bundle: str) -> bool:
        """Tie the folder to this run; return True if an interrupted run will be resumed.

        bundle: digest of everything that decides what the run does, its initial weights included.
        StaleState: see `belongs`; nothing is changed then.
        """
        resumed = self.belongs(bundle)
        if not resumed:
            write_atomically(self.mark, json.dumps({"bundle": bundle, "ended": False}))
        return resumed

    def belongs(self, bundle: str) -> bool:
        """Whether there is an interrupted run of this bundle.

        StaleState: the database is another run's, of a run that has ended, or of unknown origin.
        """
        if not self.database.exists():
            return False
        folder = self.database.parent
        advice = (
            f"To start anew, move {folder}/ away; to go on with the old run, restore its bundle."
        )
        if not self.mark.is_file():
            raise StaleState(f"{self.database} is of an unknown run (no {self.mark}). {advice}")
        mark = read_own_json(self.mark)
        if mark["ended"]:
            raise StaleState(f"The run in {folder}/ has ended. To start anew, move it away.")
        if mark.get("bundle") != bundle:
            raise StaleState(
                f"{self.database} is of another run: its bundle is {mark.get('bundle')}, this "
                f"run's is {bundle}. {advice}"
            )
        return True

    def end(self) -> None:
        """Note that the run has ended; its database will not be resumed."""
        mark = read_own_json(self.mark)
        write_atomically(self.mark, json.dumps(mark | {"ended": True}))
