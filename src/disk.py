"""What disks, shares and quotas refuse: each of the system's errors with its place and remedy.

The system's error for a file that is already open names no path, and its words name no way out.
"""

import errno
import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from src.errors import NoLocks
from src.printable import printable

LOCAL = "Put it on a local disk."
ROOM = "Make room there: delete what is no longer needed, or take a larger disk."
RETURN = (
    "The share or disk does not answer as it should: mount it again, or put it on a local disk."
)
MAY = "This user may not: give it the file and its folder"
REMEDIES = {
    errno.ENOSPC: f"The disk is full, or has no inode for one more file (`df`, `df -i`). {ROOM}",
    errno.EDQUOT: f"This user's quota is used up (`quota -s`). {ROOM}",
    errno.EFBIG: f"A file must not grow so large there (`ulimit -f`). {LOCAL}",
    errno.EROFS: "It is mounted read-only: mount it writable, or take another folder.",
    errno.EACCES: f"{MAY} (`chown`, `chmod u+rwX`).",
    errno.EPERM: f"{MAY} (`chown`, `chmod u+rwX`).",
    errno.ENAMETOOLONG: "Take a folder with a shorter path.",
    errno.EMFILE: "This process may not open more files: raise `ulimit -n`.",
    errno.ENFILE: "This machine may not open more files: raise fs.file-max.",
    errno.EIO: f"{RETURN} A disk that says so may be dying.",
    errno.ESTALE: RETURN,
    errno.ENOTCONN: RETURN,
    errno.ETIMEDOUT: RETURN,
    errno.EHOSTDOWN: RETURN,
    errno.ENODEV: LOCAL,
    errno.ENOSYS: LOCAL,
    errno.EOPNOTSUPP: LOCAL,
    errno.ENOLCK: LOCAL,
}


def is_known(error: OSError) -> bool:
    """Whether the machine has refused something, rather than this program made a mistake."""
    return error.errno in REMEDIES


def told(error: OSError, place: Path | None = None) -> str:
    """The error in one line: what the system says, of which file, and what to do.

    place: the folder that is meant, if the error names no file.
    """
    at = f"{place}: " if place and error.filename is None else ""
    return f"{printable(f'{at}{error}')}. {REMEDIES.get(error.errno or 0, '')}".rstrip()


@contextmanager
def named(path: Path) -> Iterator[None]:
    """In the block, an error of the system's that names no file names this one."""
    try:
        yield
    except OSError as error:
        if error.filename is not None or error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


def lock(file: BinaryIO | int, path: Path, how: int = fcntl.LOCK_EX) -> None:
    """Lock an open file. BlockingIOError: another has it, and `how` says not to wait.

    NoLocks: the filesystem has no locks, so that two processes would write at once.
    """
    try:
        fcntl.flock(file, how)
    except BlockingIOError:
        raise
    except OSError as error:
        name = errno.errorcode.get(error.errno or 0, "")
        raise NoLocks(
            f"{path} cannot be locked: {error.strerror} ({name}). The filesystem of "
            f"{path.parent} has no locks, as many network shares; without them two processes "
            f"would write over each other. {LOCAL}"
        ) from error
