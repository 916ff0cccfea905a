"""The lock of a workspace: one process at a time seals, opens or exports in it.

What such a process must not forget it reads from the workspace once, and holds in memory. A second
one beside it would know nothing of what the first has sent, and would answer the round once more.
"""

import fcntl
import json
import os
import socket
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from src.errors import WorkspaceHeld

FILE = Path("local_state/lock")
PATIENCE_S = 5.0  # for a process that is ending
POLL_S = 0.1
MOST_BYTES = 4096  # of what is told of the holder


class WorkspaceLock:
    """now: the clock, for who asks later. patience_s: how long to wait for another's end.

    Taken by `take`, and held until `release` or until this object or its process is gone, however
    it ends. (flock: a child that only executes another program does not inherit it.)
    """

    def __init__(
        self, workspace: Path, now: Callable[[], datetime], patience_s: float = PATIENCE_S
    ) -> None:
        self.path = workspace / FILE
        self._now = now
        self._patience_s = patience_s
        self._close: weakref.finalize | None = None

    def take(self) -> None:
        """Take the lock, unless this object has it. WorkspaceHeld: another process has it."""
        if self._close is not None and self._close.alive:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        close = weakref.finalize(self, os.close, descriptor)
        deadline = time.monotonic() + self._patience_s
        while not self._locked(descriptor):
            if time.monotonic() > deadline:
                holder = self._holder(descriptor)
                close()
                raise WorkspaceHeld(
                    f"{self.path.parent.parent.resolve()} is in use by {holder}. One process works "
                    "in a workspace at a time: two would use one mask twice. End that one, or "
                    "leave it."
                )
            time.sleep(POLL_S)
        told = {"pid": os.getpid(), "host": socket.gethostname()}
        told["since"] = self._now().isoformat(timespec="seconds")
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(told).encode(), 0)
        self._close = close

    @contextmanager
    def held(self) -> Iterator[None]:
        """The lock for the block. WorkspaceHeld: another process has it."""
        self.take()
        try:
            yield
        finally:
            self.release()

    def release(self) -> None:
        """Give the lock back, if it was taken."""
        if self._close is not None:
            self._close()

    def _locked(self, descriptor: int) -> bool:
        """WorkspaceHeld: this filesystem knows no locks, so nobody can tell."""
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            raise WorkspaceHeld(
                f"{self.path} cannot be locked: {error.strerror}. Lay the workspace on a file "
                "system with locks; without them nothing keeps a second process out."
            ) from None
        return True

    @staticmethod
    def _holder(descriptor: int) -> str:
        try:
            told = json.loads(os.pread(descriptor, MOST_BYTES, 0))
            return f"process {told['pid']} on {told['host']} since {told['since']}"
        except (ValueError, KeyError, TypeError):
            return "another process, which has not said which"
