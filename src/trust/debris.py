"""What desktops, editors and file servers leave in folders and archives, without being asked.

Such a file in a workspace is refused as anything else is that no digest covers; but the refusal
says what it is, so that it is deleted, and not signed, nor asked for anew. In an archive that was
carried here it is not even read. Nothing is ever run because of a name in this file.
"""

import os
import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

MAC, WINDOWS, EDITOR = "macOS", "Windows", "an editor"
LEFT_BY = (
    (re.compile(r"__MACOSX|\._.*|\.DS_Store|\.Spotlight-V100|\.Trashes|\.fseventsd|Icon\r"), MAC),
    (re.compile(r"Thumbs\.db|ehthumbs\.db|desktop\.ini|\$RECYCLE\.BIN|~\$.*", re.I), WINDOWS),
    (re.compile(r".*~|#.*#|\.#.*|\..*\.sw[a-p]|\.~lock\..*#|4913"), EDITOR),
    (re.compile(r"\.nfs[0-9a-f]+"), "NFS, for a file that a process still holds open"),
    (re.compile(r"\.directory|\.Trash-\d+"), "the desktop"),
)
DISKS_OWN = "lost+found"  # in the root of an ext filesystem
ENVIRONMENT = "pyvenv.cfg"  # in the folder of a Python environment, whatever that is called
MOST_NAMED = 8


def left_by(name: str) -> str | None:
    """Who leaves files of this name; None: nobody is known to."""
    return next((who for pattern, who in LEFT_BY if pattern.fullmatch(name)), None)


def of_an_archive(path: str) -> bool:
    """Whether a path in an archive is what macOS or Windows adds to it."""
    return any(left_by(part) in (MAC, WINDOWS) for part in path.split("/"))


def refusal(workspace: Path, passed_over: Sequence[str]) -> str | None:
    """What is to be deleted or moved out of a workspace, in words; None: there is nothing.

    passed_over: folders of the workspace in which anything may lie that is no code.
    """
    if (workspace / DISKS_OWN).is_dir():
        return (
            f"{workspace / DISKS_OWN}: the workspace is the root of a disk, which has a folder of "
            "its own there. Move the workspace into a folder of that disk."
        )
    environments = [p for p in _folders(workspace, passed_over) if (p / ENVIRONMENT).is_file()]
    if environments:
        listed = ", ".join(map(str, environments))
        return f"{listed}: a Python environment. Move it out of the workspace, and install anew."
    found = list(_left(workspace, passed_over))
    if not found:
        return None
    some = [f"{path.relative_to(workspace)} ({who})" for path, who in found[:MOST_NAMED]]
    more = f" and {len(found) - MOST_NAMED} more" if len(found) > MOST_NAMED else ""
    shown = " ".join(shlex.quote(str(path)) for path, _ in found[:MOST_NAMED])
    return (
        f"{workspace}: left by a desktop, an editor or a file server: {', '.join(some)}{more}. "
        "No run needs them, and nothing is to be signed anew: close what holds them open, and "
        f"delete them: rm -r -- {shown}"
    )


def _folders(workspace: Path, passed_over: Sequence[str]) -> Iterator[Path]:
    with os.scandir(workspace) as found:
        for entry in found:
            if entry.is_dir(follow_symlinks=False) and entry.name not in passed_over:
                yield Path(entry.path)


def _left(workspace: Path, passed_over: Sequence[str]) -> Iterator[tuple[Path, str]]:
    """Whatever bears such a name, and who leaves it; not what lies below a folder of that name."""
    for place, folders, files in os.walk(workspace):
        if Path(place) == workspace:
            folders[:] = [name for name in folders if name not in passed_over]
        for name in sorted([*folders, *files]):
            if who := left_by(name):
                yield Path(place) / name, who
        folders[:] = sorted(name for name in folders if not left_by(name))
