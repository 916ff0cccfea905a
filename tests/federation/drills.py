"""What drills and federations' tests share: moments of a run, its logs, its right model."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np

from scripts.local.processes import Party
from src import hash_chain
from src.engines.openfl.model_file import read_model
from src.trust import audit
from tests.federation.conftest import CASES
from tests.federation.parts import noise
from tests.patience import until


def seen(workspace: Path) -> list[dict]:
    """The whole lines of a party's audit log, as far as they are written."""
    path = workspace / audit.FILE
    text = path.read_text() if path.is_file() else ""
    return [json.loads(line) for line in text.rpartition("\n")[0].splitlines()]


def events(federation, **wanted) -> int:
    """How many lines of the aggregator's log are like this."""
    lines = seen(federation.aggregator)
    return sum(all(line.get(key) == value for key, value in wanted.items()) for line in lines)


MOMENTS: dict[str, Callable] = {
    "before any site has come": lambda f: events(f, event="started") >= 1,
    "while round 0 is trained": lambda f: (
        events(f, event="received", round=0, what="aggregated_model_validation") >= 3
    ),
    "after one update of round 1": lambda f: (
        events(f, event="received", round=1, what="train") >= 1
    ),
    "when round 1 has just ended": lambda f: events(f, event="round ended", round=1) >= 1,
    "in the final validation": lambda f: events(f, event="sending", round=3) >= 1,
}


def wait_until(federation, moment: str) -> None:
    until(lambda: MOMENTS[moment](federation), moment, every_s=0.01)


def wait_for(federation, **wanted) -> None:
    """Until the aggregator's log has a line like this."""
    until(lambda: events(federation, **wanted), wanted)


def kill(party: Party) -> None:
    os.killpg(party.process.pid, signal.SIGKILL)
    party.process.wait()


def final_model(federation) -> np.ndarray:
    """The final model; an encrypted one as a site opens it."""
    site = federation.sites["one"] if federation.encrypted else None
    return read_model(federation.aggregator / "save" / "final.pbuf", site)


def logs_agree(federation) -> None:
    """Every party's audit log holds, and each site's agrees with the aggregator's."""
    own = audit.verify(federation.aggregator / audit.FILE, federation.certificates())
    for name, workspace in federation.sites.items():
        lines = audit.verify(workspace / audit.FILE, federation.certificates())
        assert audit.cross_check(own, lines, name) == []
    told = {line["event"] for line in own}
    assert not told & {"two processes", "mask reused"}  # a restart is no alarm
    if federation.encrypted:
        assert max(map(len, uploads(own).values())) == 1


def uploads(lines: list[dict]) -> dict[tuple, set[str]]:
    """The digests of all that ever came from a site in answer to a round, however often."""
    found: dict[tuple, set[str]] = {}
    for line in lines:
        if (line["event"], line.get("what")) == ("received", "train"):
            found.setdefault((line["site"], line["round"]), set()).add(line["digest"])
    return found


def start_all(federation) -> list[Party]:
    return [federation.start_aggregator(), *(federation.start_site(name) for name in CASES)]


def void_rounds(federation) -> set[int]:
    """The rounds that came to nothing; after a restart a round's last line counts."""
    outcome = {line["round"]: "void" in line for line in rounds(federation)}
    return {number for number, void in outcome.items() if void}


def lost_updates(federation) -> set[int]:
    """The rounds of which a site has encrypted an update that never came."""
    sealed = {
        (name, line["round"])
        for name, workspace in federation.sites.items()
        for line in seen(workspace)
        if line["event"] == "sealed"
    }
    path = federation.aggregator / "local_state" / "sealed" / "updates.jsonl"
    came = {(line["site"], line["round"]) for line in hash_chain.read(path)}
    return {number for _, number in sealed - came}


def mean_of_noise(rounds: int | set[int]) -> np.ndarray:
    """The mean of what the sites have added in these rounds, or in the first so many."""
    rounds = range(rounds) if isinstance(rounds, int) else rounds
    total = sum(CASES.values())
    return sum(
        cases / total * noise(site, r).astype(np.float64)
        for r in rounds
        for site, cases in CASES.items()
    )


def rounds(federation) -> list[dict]:
    lines = (federation.aggregator / "logs" / "rounds.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]
