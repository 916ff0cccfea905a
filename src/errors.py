"""What is not allowed, said so that the other party understands it."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

logger = logging.getLogger(__name__)


class Refused(PermissionError):
    """Something that trust forbids: who, what, why, and what to do. Never retried."""


MARK = "Refused: "  # before the reason, where it travels inside another error's text
APPROVAL = "approval"  # the message with which a site introduces itself
APPROVAL_NEEDED = "show your approval first"  # answered to a site that has not yet done so


REFUSED_CODE = 77  # EX_NOPERM of sysexits.h: a process ended so is not to be started again


def marked(reason: object) -> str:
    """The reason as it travels to the other party."""
    return f"{MARK}{reason}"


def reason_in(text: str) -> str | None:
    """The reason inside a message that has travelled; None if there is none."""
    _, mark, reason = text.partition(MARK)
    return reason.strip() if mark else None


@contextmanager
def refusals_end_the_process() -> Iterator[None]:
    """At a process's top: a refusal is told in one line, and is the process's exit code."""
    try:
        yield
    except Refused as refusal:
        logger.error("Refused: %s", refusal)
        raise SystemExit(REFUSED_CODE) from refusal
