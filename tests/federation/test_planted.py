"""What somebody plants in a stopped run's checkpoint does not run when it goes on."""

import os
import pickle
import shutil
import sqlite3

import numpy as np
import pytest
from openfl.databases import PersistentTensorDB

from scripts.local.processes import running
from src.engines.openfl.model_file import read_model
from tests.federation.conftest import CASES
from tests.federation.drills import kill, mean_of_noise, wait_until
from tests.patience import HANG_S

pytestmark = [pytest.mark.federation]


class Evil:
    def __init__(self, mark) -> None:
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


def plant_in_ours(database, evil: bytes) -> None:
    with sqlite3.connect(database) as planted:
        planted.execute("INSERT OR REPLACE INTO answers VALUES (1, 'one', 1, 'train', 5)")
        planted.execute("DELETE FROM answer_tensors")
        planted.execute("INSERT INTO answer_tensors VALUES (1, 0, ?)", (evil,))
    planted.close()


def plant_openfls(database, evil: bytes) -> None:
    database.unlink()
    theirs = PersistentTensorDB(database)
    theirs.conn.execute("INSERT INTO task_results VALUES (1, 'one', 1, 'train', 5, ?)", (evil,))
    theirs.conn.commit()
    theirs.close()


PLANTS = {
    "a row as OpenFL has it": (plant_openfls, 1, "was not written by this release of the kit"),
    "a row of ours": (plant_in_ours, 65, "a row is not as this kit wrote it"),
}


def test_a_planted_pickle_does_not_run_and_the_run_goes_on_without_it(federation, tmp_path):
    federation.change("task_runner.seconds=1")
    database, mark = federation.aggregator / "local_state" / "tensor.db", tmp_path / "executed"
    with running([federation.start_aggregator()]) as parties:
        parties += [federation.start_site(name) for name in CASES]
        wait_until(federation, "when round 1 has just ended")
        kill(parties[0])
        kept = tmp_path / "kept.db"
        shutil.copy2(database, kept)
        for plant, code, reason in PLANTS.values():
            shutil.copy2(kept, database)
            plant(database, pickle.dumps(Evil(mark)))
            parties.append(federation.start_aggregator())
            assert parties[-1].process.wait(HANG_S) == code
            assert reason in " ".join(federation.log("aggregator").split())
            assert not mark.exists()
        shutil.copy2(kept, database)
        parties.append(federation.start_aggregator())
        for party in (parties[-1], *parties[1:4]):
            assert party.process.wait(HANG_S) == 0, federation.log(party.name)[-2000:]
    final = read_model(federation.aggregator / "save" / "final.pbuf")
    assert np.abs(final - mean_of_noise(3)).max() < 1e-6
