"""What is not allowed, said so that the other party understands it."""


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
