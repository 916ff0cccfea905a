"""Text of others (of a bundle, the other party, a file name) as it may be shown or logged.

A terminal obeys what it is shown: escape sequences move the cursor and write over what stands
there, marks of direction turn words around, invisible characters make two names look alike. So
whatever cannot be seen as itself is shown as its number.
"""

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


def _escape(char: str) -> str:
    escaped = char.encode("unicode_escape").decode()
    return escaped if escaped != char else f"\\x{ord(char):02x}"
