"""Compiled copies: removed unread, and a process that may have run a false one is not let on."""

import importlib.util
import py_compile
import shutil
import subprocess
import sys

import pytest

from scripts.attack.hostile_bundles import dated_copy, unchecked_copy
from src.errors import Refused
from src.trust import audit, compiled
from src.trust.gate import AggregatorGate, SiteGate

MODES = py_compile.PycInvalidationMode


@pytest.fixture
def site(parties):
    return parties / "one"


def test_what_python_itself_has_compiled_is_let_be(parties, site, clock):
    for switch in ("-B", "-O", "-OO"):  # as an engineer's own Python may have been called
        command = [sys.executable, switch, "-m", "compileall", "-q", "src"]
        subprocess.run(command, cwd=site, check=True)
    assert len(compiled.copies(site)) > 100
    compiled.check(site)
    SiteGate(str(site), clock).open("one")


@pytest.mark.parametrize("mode", MODES)
def test_the_mode_of_a_copy_is_its_own_business(site, mode):
    py_compile.compile(str(site / "src/errors.py"), invalidation_mode=mode)
    compiled.check(site)


@pytest.mark.parametrize("plant", [unchecked_copy, dated_copy])
def test_a_false_copy_ends_a_start_by_plain_fx(parties, site, clock, plant):
    plant(site)
    with pytest.raises(Refused, match=r"errors\.cpython.*not what its source compiles to"):
        SiteGate(str(site), clock).open("one")
    assert "compiled copy" in (site / audit.FILE).read_text()


def test_a_false_copy_ends_the_aggregators_start_too(parties, clock):
    unchecked_copy(parties / "aggregator")
    with pytest.raises(Refused, match="not what its source compiles to"):
        AggregatorGate(str(parties / "aggregator"), clock).open(["one", "two"])


CHANGES = {
    "a number": ("x = 1\n", "x = 2\n"),
    "a number's type": ("x = 1\n", "x = True\n"),
    "a sign": ("x = 0.0\n", "x = -0.0\n"),
    "a set": ("x = 1 in {1, 2}\n", "x = 1 in {1, 3}\n"),
    "what is caught": (
        "def f():\n    try: g()\n    except KeyError: pass\n",
        "def f():\n    try: g()\n    except OSError: pass\n",
    ),
    "an inner function": (
        "def f():\n    return lambda: 1\n",
        "def f():\n    return lambda: 2\n",
    ),
    "a default": ("def f(a=1): pass\n", "def f(a=2): pass\n"),
}


@pytest.mark.parametrize(("source", "other"), CHANGES.values(), ids=CHANGES)
def test_any_difference_is_found(tmp_path, source, other):
    (tmp_path / "a.py").write_text(other)
    copy = importlib.util.cache_from_source(str(tmp_path / "a.py"))
    py_compile.compile(str(tmp_path / "a.py"), copy, invalidation_mode=MODES.UNCHECKED_HASH)
    compiled.check(tmp_path)
    (tmp_path / "a.py").write_text(source)
    with pytest.raises(Refused, match="not what its source compiles to"):
        compiled.check(tmp_path)


@pytest.mark.parametrize(
    "name", ["gone.cpython-311.pyc", "a.cpython-399.pyc", "a.pyc", "a.py", "a.cpython-311.so"]
)
def test_what_is_no_copy_of_a_source_is_refused(tmp_path, name):
    (tmp_path / "a.py").write_text("x = 1\n")
    copy = importlib.util.cache_from_source(str(tmp_path / "a.py"))
    py_compile.compile(str(tmp_path / "a.py"), copy)
    shutil.move(copy, tmp_path / "__pycache__" / name)
    with pytest.raises(Refused, match="not what its source compiles to"):
        compiled.check(tmp_path)


def test_copies_are_removed_wherever_they_lie_but_among_the_patients(site, tmp_path):
    places = ["src", "src/plan", "logs", "approvals/approved/src", "plan", "data/one", ""]
    for place in places:
        (site / place / "__pycache__").mkdir(parents=True)
        (site / place / "__pycache__" / "x.pyc").write_bytes(b"x")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "kept").touch()
    (site / "cert" / "__pycache__").symlink_to(tmp_path / "elsewhere")
    assert compiled.remove(site) == len(places)  # the link in place of the patients'
    assert compiled.folders(site) == []
    assert (site / "data/one/__pycache__/x.pyc").exists()
    assert (tmp_path / "elsewhere" / "kept").exists()
