"""The screen of a command: what is printed on it can only be read, whoever wrote it.

Every string passes `src.printable` on its way, and square brackets are square brackets: of rich's
markup nothing is obeyed, but where a program prints words of its own and asks for it.
"""

from typing import Any

from rich.console import Console
from rich.text import Text

from src.printable import printable


class Screen(Console):
    """rich's console, without markup, emoji and highlighting; settings are its own.

    markup: obey rich's markup; for a program that prints nothing but words of its own.
    """

    def __init__(self, *, markup: bool = False, **settings: Any) -> None:
        super().__init__(markup=markup, emoji=False, highlight=False, **settings)

    def render_str(self, text: str, **settings: Any) -> Text:  # type: ignore[override]
        """Every string that is printed, also in a table, comes through here."""
        lines = text.split("\n")
        return super().render_str("\n".join(map(printable, lines)), **settings)


def words(label: str, text: str) -> Text:
    """A row of words that people read to each other, in bold."""
    return Text.assemble(label, (text, "bold"))
