"""Append-only JSON lines, each with the hash of the one before: what was written stays written.

Anyone who can write to the file can truncate it, or write all of it anew. Therefore whoever keeps
such a file also signs its lines, or notes the last hash elsewhere.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from src import disk
from src.errors import Damaged, WireError
from src.strict import json_value

START = "0" * 64  # what stands in the first line as the hash of the line before

Entry = dict[str, Any]
Make = Callable[[int, str], Mapping[str, Any]]


class HashChain:
    """A file of chained lines.

    path: the file, whose folder is made if it is missing.
    mode: of a new file, under the process's umask.
    """

    def __init__(self, path: Path, mode: int = 0o666) -> None:
        self.path = path
        self._mode = mode
        path.parent.mkdir(parents=True, exist_ok=True)

    def append(self, **content: Any) -> str:
        """Append one line, which is on disk when this returns; return its hash.

        A last line that a crash has torn is cut off first.
        """
        return self.append_made(lambda number, previous: content)

    def append_made(self, make: Make) -> str:
        """Append the line that `make` returns for its number and the hash of the line before.

        `make` runs while the file is locked, so lines of other threads and processes wait.
        """
        with self.together() as append:
            return append(make)

    @contextmanager
    def together(self) -> Iterator[Callable[[Make], str]]:
        """Append lines that belong together: nobody else's line comes between them.

        In the block each call appends the line that it is given, as `append_made` does. They are
        written at its end, or none of them if it raises.
        """
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND
        with os.fdopen(os.open(self.path, flags, self._mode), "r+b") as file:
            disk.lock(file, self.path)
            first, previous = self._tail(file)
            lines: list[bytes] = []

            def append(make: Make) -> str:
                nonlocal previous
                number = first + len(lines)
                line = {**make(number, previous), "n": number, "previous": previous}
                lines.append(encoded(line))
                previous = digest(line)
                return previous

            yield append
            with disk.named(self.path):
                file.write(b"".join(lines))
                file.flush()
                os.fsync(file.fileno())
            if first == 0:
                _sync_folder(self.path.parent)

    def repair(self) -> None:
        """Cut off a last line that a crash has torn. Nothing that `append` has returned is lost."""
        if self.path.is_file():
            with self.path.open("r+b") as file:
                disk.lock(file, self.path)
                self._tail(file)

    def _tail(self, file) -> tuple[int, str]:
        """(number, hash of the line before) of the next line; a torn last line is removed."""
        content = _last_bytes(file)
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            file.truncate(file.seek(0, os.SEEK_END) - (len(content) - whole))
            content = content[:whole]
        if not content:
            return 0, START
        line = _parsed(content.splitlines(keepends=True)[-1])
        if line is None or "n" not in line:
            raise Damaged(f"{self.path}: its last line is not readable: it was altered.")
        return line["n"] + 1, digest(line)


def encoded(line: Mapping[str, Any]) -> bytes:
    """The bytes of a line."""
    return json.dumps(line, sort_keys=True).encode() + b"\n"


def digest(line: Mapping[str, Any]) -> str:
    """SHA-256 of a line in hex, which the next line holds as `previous`."""
    return hashlib.sha256(encoded(line)).hexdigest()


def read(path: Path) -> list[Entry]:
    """The lines of a file whose chain holds.

    Damaged: no file, or the first line that was altered, dropped, moved or torn, by its number.
    """
    if not path.is_file():
        raise Damaged(f"{path} is missing.")
    previous, lines = START, []
    for number, data in enumerate(path.read_bytes().splitlines(keepends=True)):
        place = f"{path}: line {number}"
        line = _parsed(data)
        if line is None:
            raise Damaged(f"{place} is not readable: it was altered or torn.")
        if line.get("n") != number or line.get("previous") != previous:
            raise Damaged(
                f"{place} does not follow the line before it: one of the two was altered, or a "
                "line between them was dropped or moved."
            )
        previous = digest(line)
        lines.append(line)
    return lines


def _parsed(data: bytes) -> Entry | None:
    """The line; None unless it is written exactly as `encoded` would write it."""
    try:
        line = json_value(data)
    except WireError:
        return None
    return line if isinstance(line, dict) and encoded(line) == data else None


def _last_bytes(file, block: int = 1 << 16) -> bytes:
    """The end of the file, which holds at least its last whole line."""
    end = file.seek(0, os.SEEK_END)
    content = b""
    while end and content.count(b"\n") < 2:
        begin = max(0, end - block)
        file.seek(begin)
        content = file.read(end - begin) + content
        end = begin
    if end:
        content = content[content.index(b"\n") + 1 :]
    return content


def _sync_folder(folder: Path) -> None:
    """Put a new file's name on the disk, too."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with disk.named(folder):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
