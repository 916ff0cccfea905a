"""What follows a round of an encrypted run: the next round's roster, or the end of the run.

The announcements that came with a round's answers are the next round's roster. A round in which an
update of its roster is missing is void: the sum stays that of an earlier round, and all rosters
since then are handed down, so that a site that was away can follow them.
"""

from collections.abc import Mapping, Sequence

from src.errors import RunStopped
from src.secure_aggregation.protocol import STOP
from src.secure_aggregation.round_files import Answers, RoundRecord
from src.secure_aggregation.settings import Encryption


def first(announced: Mapping[str, str]) -> RoundRecord:
    """The record of round 0, made from the announcements of the sites that are there."""
    return RoundRecord(rosters={"0": _in_order(announced)})


def follow(
    record: RoundRecord,
    roster: Sequence[str],
    answers: Answers,
    encryption: Encryption,
    min_sites: int,
) -> RoundRecord:
    """The record of the round that follows `record`'s.

    roster: the sites of the round that ends.
    answers: what the sites that count have sent in it.
    RunStopped: too few have announced, a spent budget ends the run, or a limit is exceeded.
    """
    number, announced = record.round, answers.announced
    _check_enough(number, answers, min_sites)
    void = any(site not in answers.updates for site in roster)
    rosters = dict(record.rosters) if void else {}
    rosters |= {str(number): record.rosters[str(number)], str(number + 1): _in_order(announced)}
    found = RoundRecord(
        number + 1,
        rosters,
        record.sum if void else number,
        record.voids + [number] * void,
        record.changes + [number + 1] * (sorted(announced) != list(roster)),
        record.nonces if void else {site: answers.nonces[site] for site in roster},
    )
    over = encryption.over_limit(found.voids, found.changes)
    if over:
        raise RunStopped(f"{over} Find out why sites are lost, then start a new run.")
    return found


def _check_enough(number: int, answers: Answers, min_sites: int) -> None:
    announced, left = answers.announced, answers.left
    if STOP in left.values():
        raise RunStopped(
            f"After round {number}, {', '.join(left)} has spent its budget of privacy, and the "
            "plan ends the run then (task_runner.local.when_spent: stop)."
        )
    if len(announced) < min_sites:
        spent = f" The budget of privacy is spent at {', '.join(left)}." if left else ""
        raise RunStopped(
            f"Only {len(announced)} sites have announced for round {number + 1}, "
            f"min_sites is {min_sites}.{spent} Start the others, then the aggregator."
        )


def _in_order(announced: Mapping[str, str]) -> list[str]:
    """The announcements in the order of their sites' names, as every party hashes them."""
    return [announced[site] for site in sorted(announced)]
