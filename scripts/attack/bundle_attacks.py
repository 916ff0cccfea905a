"""Each hostile bundle (`hostile_bundles`) is looked at and started, as an engineer would type it.

The commands are typed in the kit that is trusted. What counts is whether the payload ran, and
whether a text got to the screen as it is.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from scripts.attack.hostile_bundles import BUILT, CANARY, HOSTILE, Bundle
from scripts.options import ROOT

SITE = "one"
LOOKS = {  # in $KIT; W: the workspace, P: its plan, X: a folder that does not exist
    "show": "src show --workspace W",
    "doctor": f"src doctor -n {SITE} --offline --workspace W",
    "start": f"src start -n {SITE} --check --workspace W",
}
PLAN_LOOKS = {  # where the plan names the payload
    "workspace": "scripts workspace --plan P --out X",
    "privacy": "scripts privacy P",
    "simulate": "scripts simulate --plan P --out X",
}


@dataclass(frozen=True)
class Outcome:
    """What came of a hostile bundle.

    ran: the commands that ran the payload. shown: those that showed a text as it is. refused:
    whether `start` has refused it. alive: whether the payload runs when nothing stops it.
    """

    bundle: Bundle
    looked: tuple[str, ...]
    ran: tuple[str, ...]
    shown: tuple[str, ...]
    refused: bool
    alive: bool


def planted(bundle: Bundle, honest: Path, folder: Path) -> Path:
    """A copy of the honest workspace in `folder`, in which the bundle was planted."""
    shutil.rmtree(folder, ignore_errors=True)
    workspace = folder / "workspace"
    shutil.copytree(honest, workspace, symlinks=True)
    bundle.plant(workspace)
    return workspace


def proves(bundle: Bundle, workspace: Path) -> bool:
    """Whether the payload runs when nothing stops it; its mark is removed. True of a text."""
    if bundle.prove is None:
        return True
    program, argument = bundle.prove
    command = [sys.executable, "-P", "-B", "-c", program, argument]
    subprocess.run(command, cwd=workspace, capture_output=True, check=False)
    return left_mark(workspace)


def left_mark(workspace: Path) -> bool:
    """Whether the payload has run since this was asked last."""
    canary = workspace.parent / CANARY
    found = canary.exists()
    canary.unlink(missing_ok=True)
    return found


def shows(bundle: Bundle, screen: str) -> bool:
    """Whether a text is on the screen in a way in which a terminal, or a reader, would obey it."""
    raw = bool(bundle.hidden) and bundle.hidden in screen
    obeyed = bool(bundle.kept) and bundle.kept.rpartition("]")[2] in screen.replace(bundle.kept, "")
    return raw or obeyed


def carry_out(
    honest: Path, scratch: Path, bundles: Iterable[Bundle] = HOSTILE
) -> Iterator[Outcome]:
    """Look at each bundle with every command, each time planted anew.

    honest: a site's workspace, approved. scratch: a folder for the copies.
    """
    for bundle in bundles:
        in_plan = bundle.prove is not None and bundle.prove[0].endswith(BUILT)
        looks = LOOKS | (PLAN_LOOKS if in_plan else {})
        ran, shown, refused = [], [], False
        for name, words in looks.items():
            workspace = planted(bundle, honest, scratch / "bundle")
            ended = _typed(words, workspace, scratch / "unmade")
            screen = ended.stdout + ended.stderr
            ran += [name] * left_mark(workspace)
            shown += [name] * shows(bundle, screen)
            refused |= name == "start" and ended.returncode != 0
        alive = proves(bundle, planted(bundle, honest, scratch / "bundle"))
        yield Outcome(bundle, tuple(looks), tuple(ran), tuple(shown), refused, alive)


def _typed(words: str, workspace: Path, unmade: Path) -> subprocess.CompletedProcess[str]:
    places = {"W": str(workspace), "P": str(workspace / "plan/plan.yaml"), "X": str(unmade)}
    command = [sys.executable, "-m", *(places.get(word, word) for word in words.split())]
    return subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | {"COLUMNS": "400"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def show(console: Console, outcomes: Iterable[Outcome]) -> list[Outcome]:
    """A row for each bundle as it ends, and the sums below; the outcomes again."""
    table = Table("hostile bundle", "payload alive", "ran or shown by", "start", box=None)
    kept = []
    for outcome in outcomes:
        kept.append(outcome)
        alive = "-" if outcome.bundle.prove is None else "yes" if outcome.alive else "NO"
        found = ", ".join([*outcome.ran, *outcome.shown]) or "nothing"
        ended = "refused" if outcome.refused else "removed" if outcome.bundle.removed else "STARTED"
        table.add_row(outcome.bundle.name, alive, found, ended)
    console.print(table)
    tried = sum(len(outcome.looked) for outcome in kept)
    ran = sum(len(outcome.ran) for outcome in kept)
    shown = sum(len(outcome.shown) for outcome in kept)
    console.print(
        f"\n{len(kept)} bundles, {tried} commands. Payloads run: {ran}. Texts shown: {shown}."
    )
    return kept
