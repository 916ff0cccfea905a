"""A group of verbs says why one of them ended, also where click would say "Aborted!"."""

import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from src.errors import InputError, RunFailed
from src.verbs.lazy import LazyGroup

ROOT = Path(__file__).resolve().parents[2]


class Verbs(LazyGroup):
    """One verb, which does what it is told."""

    def get_command(self, ctx, cmd_name):
        return click.Command("act", callback=self.act)


def test_an_end_of_input_is_told_with_its_place():
    def cut_short():
        raise EOFError("Compressed file ended")

    group = Verbs("x", {"act": ""})
    group.act = cut_short
    ended = CliRunner().invoke(group, ["act"])
    assert isinstance(ended.exception, RunFailed)
    assert "ended too early" in str(ended.exception)
    assert "Compressed file ended" in str(ended.exception)
    assert "test_lazy.py, line" in str(ended.exception)


def test_a_question_that_nobody_can_answer_is_told():
    group = Verbs("x", {"act": ""})
    group.act = lambda: click.prompt("Words")
    ended = CliRunner().invoke(group, ["act"], input="")
    assert isinstance(ended.exception, InputError)
    assert "nobody at a keyboard" in str(ended.exception)


@pytest.mark.parametrize("words", [["certify", "init", "--desk", "{}", "--federation", "x"]])
def test_no_verb_ends_with_nothing_but_aborted(words, tmp_path):
    command = [sys.executable, "-m", "scripts", *(word.format(tmp_path / "desk") for word in words)]
    ended = subprocess.run(
        command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    assert "Aborted" not in ended.stderr
    assert "nobody at a keyboard" in " ".join(ended.stderr.split())
