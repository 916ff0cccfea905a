"""Waiting that a busy machine cannot hurry: a limit here ends a hang and decides nothing else."""

import time
from collections.abc import Callable

HANG_S = 1200  # no machine is so busy; pytest's own limit (pyproject.toml) is above it


def until(so: Callable[[], object], what: object, every_s: float = 0.02) -> None:
    """Return once `so()` is true. AssertionError, with `what` never came: after HANG_S."""
    deadline = time.monotonic() + HANG_S
    while not so():
        assert time.monotonic() < deadline, f"never came: {what}"
        time.sleep(every_s)
