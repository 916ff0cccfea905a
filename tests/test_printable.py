"""What others have written can be shown: no terminal obeys it, and no reader is led astray."""

import logging

import click
import pytest
from rich.table import Table

from src.errors import InputError, Refused
from src.printable import printable, printable_lines
from src.refusal import errors_end_the_command, errors_end_the_process, reason_in
from src.verbs.screen import Screen

OBEYED = {
    "escape sequence": ("\x1b[2J", "\\x1b[2J"),
    "the same in one character": ("\x9b2J", "\\x9b2J"),
    "bell, backspace, delete": ("\a\b\x7f", "\\x07\\x08\\x7f"),
    "carriage return": ("good\rbad", "good\\rbad"),
    "new line": ("a\nWords: b", "a\\nWords: b"),
    "line of Unicode": ("a\u2028b", "a\\u2028b"),
    "right to left": ("\u202egpj.exe", "\\u202egpj.exe"),
    "isolate": ("\u2066x\u2069", "\\u2066x\\u2069"),
    "no width": ("o\u200bne", "o\\u200bne"),
    "byte order mark": ("\ufeffone", "\\ufeffone"),
    "tag": ("a\U000e0041", "a\\U000e0041"),
    "blank that is no space": ("a\u00a0b", "a\\xa0b"),
    "filler": ("a\u3164b", "a\\u3164b"),
    "variation": ("a\ufe0fb", "a\\ufe0fb"),
    "surrogate": ("a\udcffb", "a\\udcffb"),
    "private use": ("a\ue000b", "a\\ue000b"),
}


@pytest.mark.parametrize(("text", "shown"), OBEYED.values(), ids=OBEYED)
def test_what_cannot_be_seen_as_itself_is_its_number(text, shown):
    assert printable(text) == shown


@pytest.mark.parametrize("text", ["plan/plan.yaml: 3 ≤ 5 – „ja“", "Universitätsklinikum", "神経"])
def test_plain_text_of_any_language_stays(text):
    assert printable(text) == text


def test_a_further_line_cannot_pose_as_one_of_ours():
    assert printable_lines("a\nWords: b\x1b") == "a\n    Words: b\\x1b"


@pytest.mark.parametrize("text", ["\x1b[2J", "\u202e", "[bold red]x[/]", ":warning:"])
def test_the_screen_obeys_nothing_that_is_printed_on_it(text, capsys):
    screen = Screen(force_terminal=True, width=200)
    screen.print(f"plan: {text}")
    table = Table(box=None)
    table.add_row("plan", text)
    screen.print(table)
    shown = capsys.readouterr().out
    assert shown.count(printable(text)) == 2
    assert text == printable(text) or text not in shown


def test_an_error_is_printable_wherever_it_is_shown_or_logged(capsys, caplog):
    hostile = InputError("plan \x1b[2J\u202e\nWords: b")
    assert str(hostile) == "plan \\x1b[2J\\u202e\n    Words: b"
    with pytest.raises(SystemExit), errors_end_the_command():
        raise hostile
    assert "plan \\x1b[2J\\u202e\n        Words: b" in click.unstyle(capsys.readouterr().err)
    with caplog.at_level(logging.ERROR), pytest.raises(SystemExit), errors_end_the_process():
        raise Refused("no \x1b]0;title\a")
    assert caplog.messages == ["Refused: no \\x1b]0;title\\x07"]


def test_a_reason_that_came_from_the_other_party_is_printable():
    assert reason_in("RPC: Refused: no \x1b[2J\u202e") == "no \\x1b[2J\\u202e"
