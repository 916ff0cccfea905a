"""The bundle is everything that decides what a run does, as one SHA-256 manifest and one digest.

It holds the complete plan, all code and what lies beside it, the initial weights, the pinned
requirements and the member list. It does not hold what is a party's own: keys, data, logs, state.
`src.trust.walk` passes nothing over: what is neither is refused.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from src.errors import Refused
from src.plan.view import Plan
from src.trust import fingerprint, members
from src.trust.walk import CODE, PLAN, REQUIREMENTS, bundle_files

__all__ = ["CODE", "PLAN", "Bundle", "differences", "read"]
SAVE = "save"


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
    Refused: a file is missing, or something lies in the workspace that is neither of the bundle nor
        a party's own; the message names it and says what to do.
    """
    paths = {*bundle_files(workspace), PLAN, Path(REQUIREMENTS), _init_weights(workspace)}
    if members_signed:
        paths.add(members.FILE)
    files = {}
    for path in sorted(paths):
        full = workspace / path
        if full.is_symlink() or not full.is_file():
            raise Refused(f"{full}: expected a file of the bundle, and no link. Import it anew.")
        files[path.as_posix()] = fingerprint.of_file(full)
    return Bundle(files)


def _init_weights(workspace: Path) -> Path:
    """Where the plan says that they lie. Refused: not in save/, as a file of its own."""
    path = Path(Plan.read(workspace / PLAN).init_weights)
    if path.parent != Path(SAVE) or path.name.endswith(CODE):
        raise Refused(
            f"{workspace / PLAN}: aggregator.init_state_path is {path}; expected a file in "
            f"{SAVE}/, such as save/init.pbuf."
        )
    return path


def differences(old: Bundle, new: Bundle) -> list[str]:
    """One line for each file that is new, gone or changed."""
    words = []
    for path in sorted({*old.files, *new.files}):
        before, after = old.files.get(path), new.files.get(path)
        if before != after:
            words.append(f"{'new' if not before else 'gone' if not after else 'changed'}: {path}")
    return words
