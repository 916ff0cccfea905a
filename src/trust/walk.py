"""The walk over a workspace: every file is of the bundle, a party's own, or refused.

What a run does is decided by files, and Python finds code wherever it lies. So nothing is passed
over: what is on no short list of data is hashed, and what can neither be hashed nor be data (a
link, a stray file, a second plan, a hidden folder) ends the walk with its name and the remedy.
"""

import os
import re
import stat
from collections.abc import Iterator
from importlib.machinery import all_suffixes
from pathlib import Path

from src.errors import Refused
from src.plan import plan as plans
from src.plan.sources import MARK
from src.trust import debris

PLAN = Path("plan/plan.yaml")
REQUIREMENTS = "requirements.txt"
CODE = tuple(all_suffixes())  # what Python would import: .py, .pyc, .so
COMPILED = "__pycache__"
DATA = "data"  # patients: links to where they lie, and whatever lies there
OWN = ("cert", "logs", "local_state", "save", "cache", "evaluation", "approvals")
CACHE_LOCK = ".cache.lock"  # of src.data.preprocess, beside cache/
KEPT = Path("approvals/approved")  # texts of the last approved bundle: compared, never imported
SETTINGS = ("plan.yaml", "cols.yaml", "data.yaml")  # below plan/, beside what `fx` freezes
FROZEN = re.compile(r"plan_[0-9a-f]{8}\.yaml")  # `fx workspace export` writes it: the plan's copy
PACKAGES = re.compile(r"(col_[\w-]+_to_agg_cert_request|agg_to_col_[\w-]+_signed_cert)\.zip")
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+@-]*")  # of what is signed, and read by people
REMEDY = "Remove it, or move it out of the workspace."


def bundle_files(workspace: Path) -> Iterator[Path]:
    """The code that lies in a workspace, and all that lies beside it, relative to the workspace.

    Refused: something there is neither of the bundle nor a party's own.
    """
    if not (workspace / MARK).is_file():
        raise Refused(
            f"{workspace}: expected a workspace, found no {MARK}. Import it anew"
            f"{_deeper(workspace)}."
        )
    if left := debris.refusal(workspace, (DATA, *OWN)):
        raise Refused(left)
    archive = f"{workspace.resolve().name}.zip"
    for entry in _entries(workspace):
        name = entry.name
        if name == DATA:
            _check_patients(entry)
        elif name in OWN:
            _check_own(_folder(entry), workspace)
        elif name == PLAN.parent.name:
            _check_plans(_folder(entry))
        elif _is_folder(entry):
            yield from _signed(Path(entry.path), workspace)
        elif name == REQUIREMENTS or (name.endswith(CODE) and not name.endswith(".pyc")):
            yield _well_named(Path(entry.path)).relative_to(workspace)
        elif name not in (MARK, CACHE_LOCK, archive) and not PACKAGES.fullmatch(name):
            raise Refused(f"{entry.path}: expected no such file beside the code. {REMEDY}")


def _deeper(workspace: Path) -> str:
    """Where the workspace lies one folder deeper, as a clause: so it is after a second packing."""
    inner = next(workspace.glob(f"*/{MARK}"), None)
    return (
        f"; there is one in {inner.parent}, as after packing the archive again on its way: have "
        "the original sent"
        if inner
        else ""
    )


def _signed(folder: Path, workspace: Path) -> Iterator[Path]:
    """All files of a folder of code."""
    for entry in _entries(_well_named(folder)):
        if _is_folder(entry):
            if entry.name != COMPILED:
                yield from _signed(Path(entry.path), workspace)
        elif entry.name.endswith(".pyc"):
            raise Refused(f"{entry.path}: compiled code, which nobody can read. {REMEDY}")
        else:
            yield _well_named(Path(entry.path)).relative_to(workspace)


def _check_own(folder: Path, workspace: Path) -> None:
    """Refused if a party's own folder holds a link, or code that Python would import from it."""
    kept = folder.relative_to(workspace).is_relative_to(KEPT)
    for entry in _entries(folder):
        if _is_folder(entry):
            if entry.name != COMPILED:
                _check_own(Path(entry.path), workspace)
        elif entry.name.endswith(CODE) and not kept:
            raise Refused(f"{entry.path}: code lies among a party's own files. {REMEDY}")


def _check_patients(entry: os.DirEntry[str]) -> None:
    """Refused if the folder of links to patients is one itself, or holds code."""
    if not entry.is_dir(follow_symlinks=False):
        raise Refused(f"{entry.path}: expected a folder (of links), and no link. {REMEDY}")
    with os.scandir(entry.path) as found:
        for inner in found:
            if inner.name.endswith(CODE):
                raise Refused(f"{inner.path}: code lies among the patients. {REMEDY}")


def _check_plans(folder: Path) -> None:
    """Refused if a second plan lies beside the first: `fx … -p` would run it."""
    for entry in _entries(folder):
        if entry.name in SETTINGS and not _is_folder(entry):
            continue
        plan = folder / PLAN.name
        if FROZEN.fullmatch(entry.name) and plans.same(Path(entry.path), plan):
            continue
        if entry.name != COMPILED:
            raise Refused(
                f"{entry.path}: expected one plan, {plan}, and its copy as `fx` freezes it. "
                f"{REMEDY}"
            )


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    """What lies in a folder, sorted. Refused: a link, or neither file nor folder."""
    with os.scandir(folder) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        mode = entry.stat(follow_symlinks=False).st_mode
        if stat.S_ISLNK(mode):
            raise Refused(
                f"{entry.path}: expected a file of the bundle, and no link; links may lie in data/ "
                f"alone. {REMEDY}"
            )
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            raise Refused(f"{entry.path}: neither a file nor a folder. {REMEDY}")
        yield entry


def _is_folder(entry: os.DirEntry[str]) -> bool:
    return entry.is_dir(follow_symlinks=False)


def _folder(entry: os.DirEntry[str]) -> Path:
    if not _is_folder(entry):
        raise Refused(f"{entry.path}: expected a folder, found a file. {REMEDY}")
    return Path(entry.path)


def _well_named(path: Path) -> Path:
    if not NAME.fullmatch(path.name):
        raise Refused(
            f"{path}: a name of plain letters, digits and . _ + @ - was expected, not hidden, so "
            f"that it reads as what it is. {REMEDY}"
        )
    return path
