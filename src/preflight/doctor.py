"""The doctor examines a workspace before a start; every rule looks at one thing."""

from collections.abc import Iterator
from pathlib import Path

from rich.table import Table
from rich.text import Text

from src.errors import KitError
from src.preflight import data, identity, machine, masks, plan, privacy
from src.preflight.finding import Check, Examination, Finding
from src.printable import printable_lines
from src.trust.certificate import utc_now

RULES: dict[str, Check] = {
    "plan": plan.rules,
    "member list": identity.member_list,
    "own certificate": identity.own,
    "encryption key": identity.encryption,
    "keys": identity.keys,
    "keys of sums": identity.sum_keys,
    "requests": identity.requests,
    "revocation list": identity.revocation_list,
    "expiry": identity.expiry,
    "roster": identity.roster,
    "address": plan.address,
    "bundle": identity.approved,
    "encryption": plan.encryption,
    "mask keys": masks.mask_keys,
    "noise": plan.noise,
    "message size": plan.size,
    "earlier run": plan.state,
    "versions": machine.versions,
    "disk": machine.disk,
    "clock": machine.clock,
    "port": machine.port,
    "data": data.data,
    "privacy": privacy.privacy,
}
COLOUR = {"ok": "green", "warn": "yellow", "fail": "red"}


def examine(
    workspace: Path, name: str | None, *, offline: bool = False, now=utc_now
) -> list[Finding]:
    """All findings about a workspace.

    name: the site's; None at the aggregator.
    offline: leave out the connection to the aggregator.
    """
    examination = Examination(workspace, name, now())
    rules = dict(RULES)
    if not offline:
        from src.preflight.connection import line  # imports OpenFL: a second or two

        rules["line"] = line
    return [
        finding for rule, check in rules.items() for finding in _apply(rule, check, examination)
    ]


def _apply(rule: str, check: Check, examination: Examination) -> Iterator[Finding]:
    try:
        for state, text in check(examination):
            yield Finding(rule, state, text)
    except (KitError, OSError) as error:
        yield Finding(rule, "fail", str(error))


def table(findings: list[Finding]) -> Table:
    """The findings as a table for the terminal."""
    shown = Table("", "rule", "found", box=None, padding=(0, 1))
    for finding in findings:
        colour = COLOUR[finding.state]
        state = Text(finding.state, style=colour)
        shown.add_row(state, finding.rule, printable_lines(finding.text))
    return shown
