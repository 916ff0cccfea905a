"""The start of a party: everything is verified first, by code that is not the bundle's.

Plain `fx … start` builds what the plan names before any gate is asked, with the bundle's own code.
Here the installed kit removes compiled copies, verifies members, approval, manifest and plan, and
only then becomes `fx`: the same process, with its signals and exit codes.
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from src.errors import InputError
from src.plan import rules
from src.plan.sources import KIT, Sources
from src.plan.view import Plan
from src.trust import compiled
from src.trust.bundle import PLAN
from src.trust.gate import AggregatorGate, SiteGate
from src.trust.party import Party

ISOLATED = Path("src/isolated.py")
SWITCHES = ("-I", "-B")  # nothing of the caller's Python; no compiled copy is written


def is_isolated() -> bool:
    """Whether this process has been started with nothing of the caller's Python."""
    return bool(sys.flags.isolated and sys.flags.dont_write_bytecode)


def isolated(root: Path, program: str, *arguments: str) -> list[str]:
    """The command that runs a program from its source below `root`; see `src.isolated`."""
    switches = [*SWITCHES, *(["-u"] if os.environ.get("PYTHONUNBUFFERED") else [])]
    return [sys.executable, *switches, str(KIT / ISOLATED), str(root), program, *arguments]


def environment(caller: Mapping[str, str]) -> dict[str, str]:
    """The caller's environment without what would change how Python runs, here or in a worker."""
    kept = {name: value for name, value in caller.items() if not name.startswith("PYTHON")}
    return kept | {"PYTHONDONTWRITEBYTECODE": "1"}


def verify(workspace: Path, name: str | None) -> tuple[Party, int]:
    """Verify that exactly what was approved would run; (the party, compiled copies removed).

    name: the site's; None at the aggregator.
    Refused, PlanError, Damaged: it must not run; the message says why.
    """
    party = AggregatorGate(str(workspace)) if name is None else SiteGate(str(workspace))
    removed = compiled.remove(workspace)
    plan = Plan.read(workspace / PLAN)
    rules.check(plan.raw, name=str(workspace / PLAN), sources=Sources.of(workspace))
    if isinstance(party, SiteGate):
        party.ready(str(name))
    else:
        party.ready()
    return party, removed


def fx(workspace: Path, name: str | None) -> list[str]:
    """The command that this process becomes. InputError: OpenFL is not installed here."""
    program = Path(sys.executable).with_name("fx")
    if not program.is_file():
        raise InputError(f"{program}: no such file. Install OpenFL beside this Python, in a venv.")
    role = ("aggregator", "start") if name is None else ("collaborator", "start", "-n", name)
    return isolated(workspace.resolve(), str(program), *role)
