"""`audit verify` checks one party's log, and two parties' logs against each other."""

from collections import Counter
from pathlib import Path

from src.errors import Damaged, InputError, MaskReused
from src.trust import audit, members
from src.trust.certificate import SITE, utc_now


def check(log: Path, other: Path | None, workspace: Path) -> list[str]:
    """Sentences about what was found good.

    log: this party's own log.
    other: a copy of another party's log; None compares nothing.
    Damaged: names the first line that is not as it was written. MaskReused: the log holds, and says
        that a site's masks were used twice.
    """
    listed = members.read(workspace, utc_now())
    said, logs = [], {}
    for path in [log, other] if other else [log]:
        assert path is not None
        lines = audit.verify(path, [member.certificate for member in listed.members])
        party = lines[0]["party"] if lines else ""
        loose = audit.unsigned(lines)
        logs[party] = lines
        said.append(
            f"{path}: {len(lines)} lines of {party}, the chain holds, "
            f"{sum(line['event'] == 'signed' for line in lines)} signatures hold; "
            f"{loose} lines after the last signature."
        )
        if found := reused(lines):
            raise MaskReused("\n  ".join([*said, f"{path}: masks were used twice:", *found]))
    if other:
        said.append(_crossed(logs, listed))
    return said


def _crossed(logs: dict[str, list], listed: members.Members) -> str:
    sites = [party for party in logs if party in listed.sites]
    aggregator = listed.aggregator.name
    if len(sites) != 1 or aggregator not in logs:
        raise InputError(f"Expected the logs of {aggregator} and of one site, got {sorted(logs)}.")
    findings = audit.cross_check(logs[aggregator], logs[sites[0]], sites[0])
    if findings:
        raise Damaged("The two logs disagree:\n  " + "\n  ".join(findings))
    return f"The logs of {aggregator} and {sites[0]} ({SITE.name}) agree."


def reused(lines: list[dict]) -> list[str]:
    """What a log says of masks that were used twice, in sentences.

    At the aggregator a second update for one round; at a site two encryptions for one.
    """
    found = [
        f"line {line['n']}: {line['site']}, round {line['round']}: {line['reason']}"
        for line in lines
        if line["event"] == "mask reused"
    ]
    sealed: Counter[tuple[str, str, int]] = Counter()
    run = ""
    for line in lines:
        if line["event"] == "started":
            run = str(line.get("run", ""))
        if line["event"] == "sealed":
            about = (run, line["site"], line["round"])
            sealed[about] += 1
            if sealed[about] == 2:
                found.append(
                    f"line {line['n']}: {line['site']} has encrypted a second update for round "
                    f"{line['round']} of run {run}"
                )
    return found
