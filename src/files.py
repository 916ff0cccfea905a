"""Files that exist whole or not at all."""

import os
import shlex
from pathlib import Path
from typing import Any

from src import disk
from src.errors import Damaged, InputError, WireError
from src.strict import json_value


def read_own_json(path: Path) -> Any:
    """What this machine once wrote whole. Damaged: it is no JSON any more."""
    try:
        return json_value(path.read_bytes())
    except WireError as error:
        raise Damaged(
            f"{path}: expected what this machine once wrote there, found {error} "
            "Restore it from the backup."
        ) from error


def bounded(path: Path, most_bytes: int) -> bytes:
    """The content of a file that somebody else has made. WireError: it is longer than that."""
    with path.open("rb") as file:
        content = file.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise WireError(f"longer than {most_bytes} bytes.")
    return content


def refuse_closed(folder: Path) -> None:
    """InputError if this user may not look into a folder: whose it is, and what to do."""
    real = Path(os.path.realpath(folder))
    above = real
    try:
        for above in reversed(real.parents):
            (above / real.relative_to(above).parts[0]).lstat()
        above = real
        os.scandir(real).close()
    except PermissionError:
        told = above.stat()
        raise InputError(
            f"{folder}: {above} belongs to user {told.st_uid} (mode {told.st_mode & 0o777:o}), "
            f"and this runs as user {os.geteuid()}. Run this as {told.st_uid}, or let the other "
            f"user read it: `setfacl -R -m u:{os.geteuid()}:rX {shlex.quote(str(above))}`."
        ) from None
    except OSError:
        return  # not there: others say that better


def write_atomically(path: Path, content: bytes | str, mode: int = 0o666) -> None:
    """Write a file so that a reader sees the old content or the new one, and never half of it.

    Once this has returned, the new content survives a power cut. (Masks are used once, so a site
    must not forget what it has sent.)

    mode: as for `open`, under the process's umask.
    """
    data = content.encode() if isinstance(content, str) else content
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    temporary.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    with os.fdopen(os.open(temporary, flags, mode), "wb") as file, disk.named(path):
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with disk.named(path.parent):
            os.fsync(folder)  # the name, too
    finally:
        os.close(folder)


def make_private(folder: Path) -> None:
    """Make a folder that only its owner can enter, or make it so. Damaged: it cannot be made so."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if folder.stat().st_mode & 0o077:
        try:
            folder.chmod(0o700)
        except PermissionError as error:
            raise Damaged(
                f"{folder} is another user's and open to others. Give it to the user that runs "
                f"this: `chown`, then `chmod 700 {folder}`."
            ) from error


def write_secret(path: Path, content: bytes) -> None:
    """Write a new file that only its owner can read. FileExistsError: it exists."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(number, "wb") as file, disk.named(path):
        file.write(content)
