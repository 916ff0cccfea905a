"""How a refusal travels to the other party, and how an error of ours ends a process."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from src import disk
from src.errors import KitError
from src.printable import printable, printable_lines

logger = logging.getLogger(__name__)

MARK = "Refused: "  # before the reason, where it travels inside another error's text
APPROVAL = "approval"  # the message with which a site introduces itself
REVOCATIONS = "revocation list"  # the name under which parties hand on their revocation lists
APPROVAL_NEEDED = "show your approval first"  # the refusal to which a site answers with it
TAKEN_OVER = "another process of this site:"  # how the refusal of one of two processes begins
TWO_PROCESSES = "two processes"  # the event in both parties' audit logs


def marked(reason: object) -> str:
    """The reason as it travels to the other party."""
    return f"{MARK}{reason}"


def reason_in(text: str) -> str | None:
    """The reason inside a message that has travelled, printable; None if there is none."""
    _, mark, reason = text.partition(MARK)
    return printable(reason.strip()) if mark else None


@contextmanager
def errors_end_the_process() -> Iterator[None]:
    """At the top of a process of `fx`: an error of ours is one line of its log, and its code.

    So is what the machine refuses (a full disk, a share that is gone); its code is 1.
    """
    try:
        yield
    except KitError as error:
        logger.error("%s: %s", type(error).__name__, error)
        raise SystemExit(error.exit_code) from error
    except OSError as error:
        if not disk.is_known(error):
            raise
        logger.error("%s", disk.told(error))
        raise SystemExit(1) from error


@contextmanager
def errors_end_the_command(*, own_codes: bool = False) -> Iterator[None]:
    """At the top of a command line: an error of ours, or a file's, is one line; mostly code 1.

    own_codes: end with the error's own code, as a process of `fx` does.
    A bug keeps its traceback; so does an OSError that names no file, unless the machine has refused
    something (`src.disk`).
    """
    try:
        yield
    except (KitError, OSError) as error:
        words = printable_lines(error)
        if isinstance(error, OSError):
            if error.filename is None and not disk.is_known(error):
                raise
            words = disk.told(error) if disk.is_known(error) else words
        click.echo(f"{click.style('error:', fg='red', bold=True)} {words}", err=True)
        if not isinstance(error, KitError):
            sys.exit(1)
        sys.exit(error.exit_code if own_codes else error.command_code)
