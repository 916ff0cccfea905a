"""The least that an engine must do, in one process: carry bytes between the two sides of `rounds`.

Run as a program it drives a whole encrypted federation of four sites, behind the real gates of
workspaces after the ceremony, without OpenFL: three training rounds, a drop-out and a void round.
"""

import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from src.errors import Refused
from src.model_vector import TENSOR
from src.rounds import tensor_bytes
from src.rounds.aggregator import Answer
from src.rounds.encrypted_aggregator import EncryptedAggregatorRounds
from src.rounds.ending import Ending
from src.rounds.presence import Presence
from src.rounds.round_log import RoundLog
from src.rounds.schedule import Schedule, brings_update
from src.rounds.site import EncryptedSiteRounds
from src.secure_aggregation.server import EncryptedRounds
from src.secure_aggregation.settings import Encryption
from src.secure_aggregation.site import EncryptingSite
from src.trust.certificate import common_name
from src.trust.gate import AggregatorGate, SiteGate

CEREMONY = datetime(2026, 11, 23, 12, tzinfo=UTC)  # of tests/ceremonies.py, which needs OpenFL
CASES = {"one": 5, "two": 2, "three": 4, "four": 3}
INITIAL = np.linspace(-1, 1, 20).astype(np.float32)
SIZES = [10, 10]
ENCRYPTION = Encryption(most_cases=10)
SCHEDULE = Schedule.of(["validation", "train"], ["final_validation"], 3)
GRACE_S = 60.0


def noise(site: str, round_number: int) -> np.ndarray:
    """What a site's training adds in a round."""
    rng = np.random.default_rng([*site.encode(), round_number])
    return rng.normal(0, 0.1, INITIAL.size).astype(np.float32)


class Aggregator:
    """The aggregator's end: which round is open, who has answered, when the round ends."""

    def __init__(self, workspace: Path) -> None:
        self.now = 0.0
        self.round = 0
        self.answered: dict[str, set[str]] = {}
        self.gate = AggregatorGate(str(workspace), lambda: CEREMONY)
        self.gate.open(list(CASES))
        self.presence = Presence(self.gate, CASES, 3, GRACE_S, lambda: self.now)
        self.ending = Ending(self.presence, lambda: self.now, lambda: None)
        log = RoundLog(workspace / "logs" / "rounds.jsonl", resumed=False)
        encrypted = EncryptedRounds(
            ENCRYPTION, self.gate, INITIAL.size, workspace / "local_state" / "sealed"
        )
        self.rounds = EncryptedAggregatorRounds(
            self.gate, self.presence, SCHEDULE, log, encrypted, resumed=False
        )
        self.rounds.begin(0)

    def called(self, site: str) -> None:
        """At every call: who it is, by the certificate that the connection has shown."""
        serial = self.gate.members.site(site).certificate.serial_number
        self.rounds.check(common_name(site, serial), site)

    def tasks(self, site: str) -> list[str]:
        """What this site is asked for now."""
        self.called(site)
        self.rounds.require_introduction(site)
        if not self.rounds.gathered():
            return []
        self.rounds.work_given()
        return SCHEDULE.tasks(self.round)

    def model(self, site: str) -> bytes:
        """The open round's."""
        self.called(site)
        return self.rounds.sending(site, self.round, self.round, TENSOR, b"")

    def take(self, answer: Answer, cases: int) -> None:
        """A site's answer to a task; the round ends with the last one that can come."""
        self.called(answer.site)
        blobs = [content for _, content in (*answer.models, *answer.metrics)]
        self.rounds.received(answer.site, answer.round, answer.task, blobs)
        if self.rounds.admit(answer, self.round, over=SCHEDULE.over(self.round)) is None:
            return
        metrics = {name: float(tensor_bytes.decode(content)) for name, content in answer.metrics}
        self.rounds.collect(answer.site, answer.task, cases, metrics)
        self.answered.setdefault(answer.site, set()).add(answer.task)

    def end_round(self) -> str | None:
        """End the open round with those that are done and present; why it came to nothing."""
        wanted = set(SCHEDULE.tasks(self.round))
        done = [site for site, tasks in self.answered.items() if tasks == wanted]
        counting = self.rounds.still_counting(done)
        assert set(counting) >= self.presence.present()
        sites = self.rounds.told(counting)
        void, _ = self.rounds.close(self.round, counting)
        self.rounds.ended(self.round, sites, void)
        self.round += 1
        self.answered = {}
        return void


class Site:
    """A site's process: it begins with what lies in its workspace."""

    def __init__(self, name: str, workspace: Path, aggregator: Aggregator) -> None:
        self.name = name
        self.aggregator = aggregator
        self.gate = SiteGate(str(workspace), lambda: CEREMONY)
        self.gate.open(name)
        encrypting = EncryptingSite(
            ENCRYPTION,
            self.gate,
            name,
            self.gate.sum_keys(),
            SIZES,
            lambda: INITIAL,
            workspace,
            workspace.with_name(f"{name}-outside"),
        )
        encrypting.start()
        self.encrypting = encrypting
        self.rounds = EncryptedSiteRounds(self.gate, encrypting)

    def introduce(self) -> None:
        """Show the approval, and announce for the first round."""
        self.compare_revocations()
        self.aggregator.rounds.introduced(self.name, self.rounds.introduction())

    def compare_revocations(self) -> None:
        """The newer of the two revocation lists goes to the party that has the older one."""
        self.aggregator.called(self.name)
        newer = self.rounds.revocations(self.aggregator.rounds.revocations())
        if newer is not None:
            self.aggregator.rounds.take_revocations(self.name, newer)

    def open(self) -> np.ndarray:
        """The open round's model, verified."""
        self.rounds.expect(self.aggregator.round)
        message = self.aggregator.model(self.name)
        self.rounds.received(self.aggregator.round, TENSOR, message)
        return self.encrypting.open(message)

    def work(self) -> np.ndarray | None:
        """Do what is asked in the open round; the model that was trained, None: none was."""
        trained, number = None, self.aggregator.round
        tasks = self.aggregator.tasks(self.name)
        self.compare_revocations()
        for task in tasks:
            self.rounds.told(number, work=True, over=False)
            if not brings_update(task):
                dice = float(self.open().mean())
                self._send(task, [], [("dice", tensor_bytes.encode(np.array(dice)))])
                continue
            answer = self.rounds.answer(self.open)
            message = answer.message
            if answer.what == "train":
                assert self.encrypting.opened is not None
                trained = self.encrypting.opened.model + noise(self.name, number)
                message = self.encrypting.seal(trained, CASES[self.name])
                self.rounds.keep(lambda message=message: message)
            self._send(task, [(TENSOR, message)], [])
        return trained

    def _send(self, task: str, models: Sequence, metrics: Sequence) -> None:
        number = self.aggregator.round
        with self.rounds.sending(number, task, [content for _, content in (*models, *metrics)]):
            answer = Answer(self.name, number, task, models, metrics)
            self.aggregator.take(answer, self.rounds.cases(CASES[self.name]))


def run(folder: Path) -> dict:
    """The whole federation; what came of it, for the test to judge."""
    aggregator = Aggregator(folder / "aggregator")
    sites = {name: Site(name, folder / name, aggregator) for name in CASES}
    unasked = refused(lambda: aggregator.tasks("one"))
    for site in sites.values():
        site.introduce()
    trained, voids = [], []

    def play(*names: str) -> None:
        trained.append({name: sites[name].work() for name in names})
        voids.append(aggregator.end_round())

    play("one", "two", "three", "four")
    sites["four"].rounds.close()  # its process is killed, in round 1
    sites["four"].gate.lock.release()
    aggregator.now += GRACE_S + 1
    for name in ("one", "two", "three"):
        aggregator.called(name)  # their hearts beat
    gone = list(aggregator.presence.gone())
    play("one", "two", "three")
    sites["four"] = Site("four", folder / "four", aggregator)
    sites["four"].introduce()
    play("one", "two", "three", "four")
    final = {name: site.open().tolist() for name, site in sites.items()}
    play("one", "two", "three", "four")
    assert SCHEDULE.over(aggregator.round)
    left = aggregator.ending.may_leave(aggregator.round, list(CASES), over=True, grace_s=0)
    aggregator.rounds.leave(aggregator.ending.failure)
    for site in sites.values():
        site.rounds.close()
    return {
        "unasked": unasked,
        "gone": gone,
        "voids": voids,
        "trained": [
            {name: None if model is None else model.tolist() for name, model in models.items()}
            for models in trained[:3]
        ],
        "final": final,
        "left": left,
    }


def refused(call) -> str:
    """Why a call is refused."""
    try:
        call()
    except Refused as refusal:
        return str(refusal)
    return ""


if __name__ == "__main__":
    json.dump(run(Path(sys.argv[1])), sys.stdout)
