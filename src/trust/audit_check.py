"""`audit verify` checks one party's log, and two parties' logs against each other."""

from pathlib import Path

from src.errors import Damaged, InputError
from src.trust import audit, members
from src.trust.certificate import SITE, utc_now


def check(log: Path, other: Path | None, workspace: Path) -> list[str]:
    """Sentences about what was found good.

    log: this party's own log.
    other: a copy of another party's log; None compares nothing.
    Damaged: names the first line that is not as it was written.
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
