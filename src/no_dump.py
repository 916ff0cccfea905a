"""A process that holds a key leaves no image of itself: no core file, and nothing to attach to."""

import ctypes
import os
import resource

PR_SET_DUMPABLE = 4


def forbid() -> None:
    """From now on: no core file, and no other process of this user reads this one's memory.

    (Neither does a debugger or a profiler of this user; root's do.) What it forks inherits both; a
    program that it starts inherits the first. OSError: the kernel refuses.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0):
        number = ctypes.get_errno()
        raise OSError(number, f"prctl(PR_SET_DUMPABLE): {os.strerror(number)}")
