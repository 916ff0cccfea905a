"""The doctor examines a workspace before a start; every rule looks at one thing."""

from collections.abc import Iterator
from pathlib import Path

from rich.table import Table
from rich.text import Text

from src import disk
from src.errors import KitError
from src.preflight import account, data, folders, identity, machine, masks, plan, privacy, training
from src.preflight.finding import Check, Examination, Finding
from src.printable import printable_lines
from src.trust.certificate import utc_now

TRAINING = "training"  # runs the plan's parts, so only once nothing else is wrong
RULES: dict[str, Check] = {
    "plan": plan.rules,
    "member list": identity.member_list,
    "bundle": identity.approved,
    "own certificate": identity.own,
    "encryption key": identity.encryption,
    "keys": identity.keys,
    "keys of sums": identity.sum_keys,
    "requests": identity.requests,
    "revocation list": identity.revocation_list,
    "expiry": identity.expiry,
    "roster": identity.roster,
    "address": plan.address,
    "encryption": plan.encryption,
    "liars": plan.liars,
    "mask keys": masks.mask_keys,
    "noise": plan.noise,
    "message size": plan.size,
    "earlier run": plan.state,
    "versions": machine.versions,
    "account": account.account,
    "disk": machine.disk,
    "folders": folders.folders,
    "clock": machine.clock,
    "port": machine.port,
    "data": data.data,
    "privacy": privacy.privacy,
    TRAINING: training.training,
}
COLOUR = {"ok": "green", "warn": "yellow", "fail": "red", "skip": "dim"}


def examine(
    workspace: Path, name: str | None, *, offline: bool = False, train: bool = True, now=utc_now
) -> list[Finding]:
    """All findings about a workspace.

    name: the site's; None at the aggregator.
    offline: leave out the connection to the aggregator.
    train: try a step of training; False where the run itself follows at once.
    """
    examination = Examination(workspace, name, now())
    rules = {rule: check for rule, check in RULES.items() if train or rule != TRAINING}
    if not offline:
        from src.preflight.connection import line  # imports OpenFL: a second or two

        rules["line"] = line
    findings: list[Finding] = []
    causes: dict[str, str] = {}
    for rule, check in rules.items():
        if rule != TRAINING or not any(finding.state == "fail" for finding in findings):
            findings += _apply(rule, check, examination, causes)
    return findings


def _apply(
    rule: str, check: Check, examination: Examination, causes: dict[str, str]
) -> Iterator[Finding]:
    """What a rule finds. causes: what rules have failed by, and which; one cause is told once."""
    try:
        for state, text in check(examination):
            yield Finding(rule, state, text)
    except (KitError, OSError) as error:
        text = str(error)
        if isinstance(error, OSError) and disk.is_known(error):
            text = disk.told(error)
        first = causes.setdefault(text, rule)
        if first == rule:
            yield Finding(rule, "fail", text)
        else:
            yield Finding(rule, "skip", f"not examined: see {first}")


def table(findings: list[Finding]) -> Table:
    """The findings as a table for the terminal."""
    shown = Table("", "rule", "found", box=None, padding=(0, 1))
    for finding in findings:
        colour = COLOUR[finding.state]
        state = Text(finding.state, style=colour)
        shown.add_row(state, finding.rule, printable_lines(finding.text))
    return shown
