"""The bundle is everything that decides what a run does, as one SHA-256 manifest and one digest.

It holds the complete plan, all code, the initial weights, the pinned requirements and the member
list. It does not hold what is a party's own: keys, data, logs, state.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.machinery import all_suffixes
from pathlib import Path

from src.errors import Refused
from src.plan import plan as plans
from src.plan.view import Plan
from src.trust import fingerprint, members

PLAN = Path("plan/plan.yaml")
OWN = ("cert", "data", "logs", "local_state", "save", "cache", "evaluation", "approvals", "plan")
CODE = tuple(all_suffixes())  # what Python would import: .py, .pyc, .so


@dataclass(frozen=True)
class Bundle:
    """The manifest of a bundle.

    files: SHA-256 in hex, by path relative to the workspace.
    """

    files: Mapping[str, str]

    @property
    def digest(self) -> str:
        """SHA-256 of the manifest: what is approved, and what parties compare."""
        return hashlib.sha256(self.manifest().encode()).hexdigest()

    def manifest(self) -> str:
        """One line a file, sorted by path, in the format that `sha256sum --check` reads."""
        return "".join(f"{sha256}  {path}\n" for path, sha256 in sorted(self.files.items()))

    @classmethod
    def parse(cls, manifest: str) -> "Bundle":
        """The bundle that a manifest's text describes."""
        pairs = [line.split("  ", 1) for line in manifest.splitlines()]
        return cls({path: sha256 for sha256, path in pairs})


def read(workspace: Path, *, members_signed: bool = True) -> Bundle:
    """The bundle that lies in a workspace now.

    members_signed: False before the desk has signed a member list; such a bundle cannot be run.
    Refused: a file is missing, or is a link to something outside.
    """
    files = {}
    listed = [members.FILE] if members_signed else []
    for path in sorted({*_fixed(workspace), *listed, *_code(workspace)}):
        full = workspace / path
        if full.is_symlink() or not full.is_file():
            raise Refused(f"{full}: expected a file of the bundle, and no link. Import it anew.")
        files[path.as_posix()] = fingerprint.of_file(full)
    return Bundle(files)


def _fixed(workspace: Path) -> list[Path]:
    plan = Plan.read(workspace / PLAN)
    for place, part in plans.parts(plan.raw):
        top = str(part["template"]).partition(".")[0]
        if top in OWN:
            raise Refused(f"{workspace / PLAN}: {place}: {part['template']} lies outside the code.")
    return [PLAN, Path("requirements.txt"), Path(plan.init_weights)]


def _code(workspace: Path) -> Iterator[Path]:
    """Everything that Python could import from the workspace, and all of src/, uncompiled."""
    for top in workspace.iterdir():
        if top.name in OWN or top.name.startswith(".") or top.name == "__pycache__":
            continue
        for path in [top] if not top.is_dir() else sorted(top.rglob("*")):
            relative = path.relative_to(workspace)
            wanted = relative.parts[0] == "src" or path.name.endswith(CODE)
            if wanted and not path.is_dir() and "__pycache__" not in relative.parts:
                yield relative


def compiled(workspace: Path) -> list[Path]:
    """Compiled copies of the code. Python runs them unread, so none may come with a bundle."""
    return [
        folder
        for folder in workspace.rglob("__pycache__")
        if not folder.relative_to(workspace).parts[0].startswith(".")
    ]


def differences(old: Bundle, new: Bundle) -> list[str]:
    """One line for each file that is new, gone or changed."""
    words = []
    for path in sorted({*old.files, *new.files}):
        before, after = old.files.get(path), new.files.get(path)
        if before != after:
            words.append(f"{'new' if not before else 'gone' if not after else 'changed'}: {path}")
    return words
