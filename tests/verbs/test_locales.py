"""Every verb works in a locale that is not UTF-8: Latin-1, and plain ASCII."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from src.trust.certificate import utc_now
from tests import ceremonies

ROOT = Path(__file__).resolve().parents[2]
ASCII = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
LATIN_1 = {"LC_ALL": "de_DE.ISO-8859-1", "PYTHONUTF8": "0"}
EVERY_HELP = """
import sys, click
from src.printable import print_in_any_locale
from src.__main__ import main as src
from scripts.__main__ import main as scripts

def told(command, *words):
    try:
        command.main([*words, "--help"], prog_name=command.name or "kit")
    except SystemExit as ended:
        assert not ended.code, words
    context = click.Context(command)
    for name in command.list_commands(context) if isinstance(command, click.Group) else ():
        told(command.get_command(context, name))

print_in_any_locale()
print(sys.stdout.encoding)
told(src)
told(scripts)
"""


@pytest.fixture(scope="module", params=["ASCII", "Latin-1"])
def locale(request, tmp_path_factory) -> dict[str, str]:
    """The variables of a locale that is not UTF-8."""
    if request.param == "ASCII":
        return ASCII
    if not shutil.which("localedef"):
        pytest.skip("no localedef here")
    place = tmp_path_factory.mktemp("locales")
    make = ["localedef", "-i", "de_DE", "-f", "ISO-8859-1", place / "de_DE.ISO-8859-1"]
    if subprocess.run(make, capture_output=True, check=False).returncode:
        pytest.skip("no German locale to make here")
    return LATIN_1 | {"LOCPATH": str(place)}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory) -> Path:
    """A site's, today, below a folder with an umlaut; one line of its code has other letters."""
    folder = tmp_path_factory.mktemp("today") / "Röntgen"
    ceremonies.hold(folder, ceremonies.Clock(utc_now()))
    with (folder / "one/src/model_vector.py").open("a", encoding="utf-8") as file:
        file.write("# Кириллица …\n")
    return folder / "one"


def python(locale: dict[str, str], *words: object) -> subprocess.CompletedProcess[bytes]:
    outer = {name: value for name, value in os.environ.items() if not name.startswith("LC_")}
    command = [sys.executable, *(os.fsencode(str(word)) for word in words)]
    return subprocess.run(
        command, env=outer | locale | {"COLUMNS": "200"}, cwd=ROOT, capture_output=True, check=False
    )


def test_every_verb_tells_of_itself(locale):
    told = python(locale, "-c", EVERY_HELP)
    assert told.returncode == 0, told.stderr[-2000:]
    assert told.stdout.split()[0].lower() in (b"ascii", b"ansi_x3.4-1968", b"iso8859-1")
    assert b"Usage: " in told.stdout


def test_show_shows_letters_that_the_locale_has_not_as_their_numbers(locale, workspace):
    shown = python(locale, "-m", "src", "show", "--workspace", workspace)
    assert shown.returncode == 0, shown.stderr
    assert rb"+# \u041a\u0438" in shown.stdout
    assert b"..." in shown.stdout


def test_the_doctor_reaches_its_last_line(locale, workspace):
    words = ("doctor", "-n", "one", "--offline", "--workspace", workspace)
    examined = python(locale, "-m", "src", *words)
    assert examined.returncode == 1  # the code was changed
    assert b"must be put right before a start." in examined.stdout, examined.stderr


@pytest.mark.parametrize("package", ["src", "scripts"])
def test_an_error_is_told(locale, workspace, package):
    verb = {"src": ("receive", "--workspace", workspace), "scripts": ("evaluate", "--data", ".")}
    given = {"src": workspace / "plan/plan.yaml", "scripts": "--model"}
    more = () if package == "src" else (workspace.parent / "Modell–…",)
    ended = python(locale, "-m", package, *verb[package], given[package], *more)
    assert ended.returncode in (1, 2)
    assert b"rror:" in ended.stderr
    assert b"codec" not in ended.stderr
