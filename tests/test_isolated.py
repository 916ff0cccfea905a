"""A program is run from its source: no compiled copy below its root is read or written."""

import importlib.util
import py_compile
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ISOLATED = ROOT / "src" / "isolated.py"


@pytest.fixture
def program(tmp_path) -> Path:
    """Two modules; beside one lies a compiled copy of something else, never to be compared."""
    (tmp_path / "one.py").write_text("import two\nprint('one', two.WORD)\n")
    (tmp_path / "two.py").write_text("WORD = 'source'\n")
    (tmp_path / "evil.py").write_text("WORD = 'compiled'\n")
    copy = importlib.util.cache_from_source(str(tmp_path / "two.py"))
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    py_compile.compile(str(tmp_path / "evil.py"), copy, invalidation_mode=mode)
    return tmp_path


def run(*words: object, folder: Path, **environment: str) -> str:
    command = [sys.executable, *map(str, words)]
    ended = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=True
    )
    return ended.stdout.strip()


def test_python_itself_runs_the_compiled_copy(program):
    assert run("-B", "-m", "one", folder=program) == "one compiled"


@pytest.mark.parametrize("what", ["module", "script"])
def test_isolated_runs_the_source(program, what):
    if what == "script":
        (program / "fx").write_text(
            f"import sys\nsys.path.insert(0, {str(program)!r})\nimport one\n"
        )
    named = "one" if what == "module" else program / "fx"
    words = ("-I", "-B", ISOLATED, program, named)
    before = sorted(program.rglob("*"))
    assert run(*words, folder=program, PYTHONPATH=str(program)) == "one source"
    assert sorted(program.rglob("*")) == before


def test_installed_packages_keep_their_copies(program):
    (program / "one.py").write_text("import yaml\nprint(yaml.__cached__.endswith('.pyc'))\n")
    assert run("-I", "-B", ISOLATED, program, "one", folder=program) == "True"


def test_arguments_and_exit_codes_are_the_programs_own(program):
    (program / "one.py").write_text("import sys\nprint(sys.argv[1:])\nsys.exit(7)\n")
    command = [sys.executable, "-I", "-B", str(ISOLATED), str(program), "one", "-n", "a"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout.strip()) == (7, "['-n', 'a']")
