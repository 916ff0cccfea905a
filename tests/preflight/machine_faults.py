"""Faults of a machine, planted for the doctor: what the system answers, not what the kit does."""

import errno
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from src import disk
from src.preflight import account, folders

Plant = Callable[[Path, Any, Any], None]


def no_temporary_files(parties, clock, patch):
    patch.setattr(tempfile, "tempdir", "/proc/self")


def temporary_files_in_the_workspace(parties, clock, patch):
    """What Python takes when nothing else can be written to: the folder it was started in."""
    patch.chdir(parties / "one")
    patch.setattr(tempfile, "tempdir", str(parties / "one"))


def another_users_workspace(parties, clock, patch):
    patch.setattr(account.os, "geteuid", lambda: (parties / "one").stat().st_uid + 1)


def refusing(call: str, number: int) -> Plant:
    """A system call that this filesystem answers with an error."""

    def refuse(*_):
        raise OSError(number, os.strerror(number))

    def plant(parties, clock, patch):
        patch.setattr({"flock": disk.fcntl, "lockf": disk.fcntl, "fsync": os}[call], call, refuse)

    return plant


def no_file_more(parties, clock, patch):
    found = os.statvfs(parties)
    full = os.statvfs_result((*found[:5], 1000, 0, 0, *found[8:]))
    patch.setattr(folders.os, "statvfs", lambda path: full)


def keeps_no_permissions(parties, clock, patch):
    """As a Windows share: whatever is asked for, a file is open to all."""
    opened = os.open

    def open_to_all(path, flags, mode=0o777, **how):
        number = opened(path, flags, mode, **how)
        if flags & os.O_CREAT:
            os.fchmod(number, 0o666)
        return number

    patch.setattr(folders.os, "open", open_to_all)


def a_file_for_a_cache(parties, clock, patch):
    (parties / "one" / "cache").write_text("x")


def ledgers_on_something_read_only(parties, clock, patch):
    patch.setenv("GLIOMA_LEDGER", "/proc/self/ledger")


def no_monai(parties, clock, patch):
    """As where it dies when it is imported."""
    patch.setitem(sys.modules, "monai", None)


def left(path: str) -> Plant:
    """A file that somebody's desktop has left."""

    def plant(parties, clock, patch):
        (parties / "one" / path).parent.mkdir(exist_ok=True)
        (parties / "one" / path).write_bytes(b"x")

    return plant


SITE, AGG = "one", None
FAULTS: dict[str, tuple[str | None, Plant, str]] = {
    "no temporary files": (SITE, no_temporary_files, "account"),
    "temporary files in the workspace": (SITE, temporary_files_in_the_workspace, "account"),
    "another user's workspace": (SITE, another_users_workspace, "account"),
    "a share without locks": (SITE, refusing("flock", errno.ENOLCK), "folders"),
    "a share whose locks are not made": (AGG, refusing("flock", errno.ENOSYS), "folders"),
    "a share without SQLite's locks": (AGG, refusing("lockf", errno.ENOLCK), "folders"),
    "a disk that fails when it syncs": (SITE, refusing("fsync", errno.EIO), "folders"),
    "a quota used up": (SITE, refusing("fsync", errno.EDQUOT), "folders"),
    "no inode left": (SITE, no_file_more, "folders"),
    "a share that keeps no permissions": (SITE, keeps_no_permissions, "folders"),
    "a file where the cache goes": (SITE, a_file_for_a_cache, "folders"),
    "ledgers where nothing is written": (SITE, ledgers_on_something_read_only, "folders"),
    "what Finder leaves": (SITE, left("src/.DS_Store"), "bundle"),
    "what Windows leaves": (SITE, left("src/Thumbs.db"), "bundle"),
    "a Python environment": (SITE, left("venv/pyvenv.cfg"), "bundle"),
    "a note beside the code": (SITE, left("src/notes.txt"), "bundle"),
    "a library that dies when imported": (SITE, no_monai, "training"),
}
