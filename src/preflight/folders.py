"""A rule about folders: whether what a run does in each of them works there.

A network share, a FUSE mount or a full quota takes a file now and fails at the first lock, rename
or sync, hours later. So each is tried, in a file of a few megabytes that is removed again.
"""

import errno
import fcntl
import mmap
import os
from collections.abc import Iterator
from pathlib import Path

from src import disk
from src.differential_privacy import ledger
from src.errors import KitError
from src.preflight.finding import Examination, State

FILL_BYTES = 8 << 20
FEWEST_FILES = 2000  # inodes: a cache takes four a case, and logs, state and packages some dozens
HERE = ("local_state", "logs", "save")  # of a workspace, if they are there


def folders(examination: Examination) -> Iterator[tuple[State, str]]:
    """Lock, fill, sync, rename and map a file in every folder that the plan and settings name."""
    tried, good = [], True
    for what, folder in _named(examination):
        place = next(path for path in (folder, *folder.absolute().parents) if path.exists())
        if place in tried:
            continue
        tried.append(place)
        if wrong := _wrong(place):
            good = False
            yield "fail", f"{what}: {wrong}"
    if good:
        yield "ok", f"locks, renames and {FILL_BYTES >> 20} MB work in {len(tried)} folders"


def _named(examination: Examination) -> Iterator[tuple[str, Path]]:
    """What a folder is for, and the folder."""
    workspace = examination.workspace
    yield "workspace", workspace
    yield from (("workspace", workspace / name) for name in HERE)
    if examination.name is None:
        return
    settings = examination.plan.settings("data_loader")
    yield "cache", workspace / settings.get("cache", "cache")
    yield "evaluation", workspace / examination.plan.runner.get("evaluation", "evaluation")
    if examination.is_private or examination.encryption is not None:
        yield "ledgers", ledger.folder()


def _wrong(folder: Path) -> str:
    """What does not work in a folder, and what to do; "" if all does."""
    if not folder.is_dir():
        return f"{folder}: expected a folder, found a file. Remove it, or take another folder."
    trial, renamed = (folder / f".doctor-{os.getpid()}.{end}" for end in ("part", "whole"))
    try:
        with disk.named(folder):
            _refuse_few_inodes(folder)
            _try(trial, renamed)
    except KitError as error:
        return str(error)
    except OSError as error:
        return disk.told(error, folder)
    finally:
        trial.unlink(missing_ok=True)
        renamed.unlink(missing_ok=True)
    return ""


def _refuse_few_inodes(folder: Path) -> None:
    """ENOSPC: there is no room for more files. (Some filesystems count none.)"""
    found = os.statvfs(folder)
    if found.f_files and found.f_favail < FEWEST_FILES:
        left = f"{found.f_favail} inodes (files) are left, expected {FEWEST_FILES}"
        raise OSError(errno.ENOSPC, left, str(folder))


def _try(trial: Path, renamed: Path) -> None:
    """What a run does with a file. OSError, KitError: a step does not work."""
    number = os.open(trial, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(number, "r+b") as file:
        if mode := os.fstat(number).st_mode & 0o077:
            raise KitError(
                f"{trial.parent} keeps no permissions: a file made for its owner alone is open to "
                f"others ({mode:03o}), as on many Windows shares. {disk.LOCAL}"
            )
        disk.lock(number, trial, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.lockf(number, fcntl.LOCK_EX | fcntl.LOCK_NB)  # SQLite's kind, at the aggregator
        file.write(os.urandom(FILL_BYTES))  # some filesystems store zeros without taking room
        file.flush()
        os.fsync(number)
        with mmap.mmap(number, 0, access=mmap.ACCESS_READ):  # as the cache is read
            pass
    trial.replace(renamed)
    folder = os.open(trial.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
