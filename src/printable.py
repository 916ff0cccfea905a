"""Text of others (of a bundle, the other party, a file name) as it may be shown or logged.

A terminal obeys what it is shown: escape sequences move the cursor and write over what stands
there, marks of direction turn words around, invisible characters make two names look alike. So
whatever cannot be seen as itself is shown as its number.
"""

import codecs
import io
import sys

PLAIN = "plain letters"  # the name of an error handler
OURS = {"…": "...", "–": "-", "—": "-", "−": "-", "×": "x", "·": "-", "⁻": "^-", "✔": "ok"}
# Letters that Unicode counts as printable, although nothing is to be seen of them.
INVISIBLE = frozenset(
    "\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0"
    + "".join(map(chr, (*range(0x180B, 0x1810), *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))))
)


def printable(text: object) -> str:
    """The text on one line: every character that cannot be seen as itself is its escape.

    Plain letters of any language stay. (`str.isprintable`: no control character, no mark of
    direction, no line or page break, no blank but the space.)
    """
    return "".join(
        char if char.isprintable() and char not in INVISIBLE else _escape(char)
        for char in str(text)
    )


def printable_lines(text: object) -> str:
    """The same of a text of several lines: each further line is indented.

    So nothing in it can pose as a line of ours, which begin at the left.
    """
    return "\n    ".join(printable(line) for line in str(text).split("\n"))


def print_in_any_locale() -> None:
    """From now on, print in whatever letters this machine's locale has, and never fail at one.

    The few signs that this kit writes itself are put in plain letters; every other one is shown as
    its number, so that no two of them look alike.
    """
    codecs.register_error(PLAIN, _in_plain_letters)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=PLAIN)


def _in_plain_letters(error: UnicodeError) -> tuple[str, int]:
    """An error handler of `codecs`."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    letters = error.object[error.start : error.end]
    return "".join(OURS.get(char) or _number(char) for char in letters), error.end


def _number(char: str) -> str:
    return char.encode("ascii", "backslashreplace").decode()


def _escape(char: str) -> str:
    escaped = char.encode("unicode_escape").decode()
    return escaped if escaped != char else f"\\x{ord(char):02x}"
