"""The tree of errors: as drawn, complete, and under no builtin that is caught broadly."""

import inspect
import pickle
import re
from functools import cache
from importlib import import_module
from pathlib import Path

from src import errors
from src.errors import KitError

ROOT = Path(__file__).resolve().parent.parent
OTHERS = {"scripts/benchmark/peers", "scripts/benchmark/encryption_plain.py"}  # without the kit's


FAULTS = {"OutOfOrder"}  # of the program itself: they keep their traceback


def modules() -> list[str]:
    paths = [path for room in ("src", "scripts", "certs") for path in (ROOT / room).rglob("*.py")]
    inner = [path.relative_to(ROOT) for path in paths]
    return sorted(
        ".".join(path.with_suffix("").parts)
        for path in inner
        if path.name not in ("__init__.py", "__main__.py")
        and not any(str(path).startswith(other) for other in OTHERS)
    )


@cache
def exceptions_of_ours() -> list[type[BaseException]]:
    found = set()
    for module in map(import_module, modules()):
        for _, kind in inspect.getmembers(module, inspect.isclass):
            if issubclass(kind, BaseException) and kind.__module__ == module.__name__:
                found.add(kind)
    return sorted(found, key=lambda kind: kind.__name__)


def drawn() -> dict[str, str]:
    """{class: its parent}, as the tree in the docstring has them."""
    found, above = {}, ["KitError"]
    for line in (errors.__doc__ or "").splitlines():
        branch = re.match(r"^([│ ]*)[├└]── (\w+)", line)
        if branch:
            depth = len(branch[1]) // 4
            found[branch[2]] = above[depth]
            above[depth + 1 :] = [branch[2]]
    return found


def test_the_tree_is_drawn_as_it_is():
    kinds = [kind for _, kind in inspect.getmembers(errors, inspect.isclass)]
    ours = [kind for kind in kinds if kind.__module__ == errors.__name__ and kind is not KitError]
    assert drawn() == {kind.__name__: kind.__bases__[0].__name__ for kind in ours}
    assert len(ours) > 10


def test_every_error_of_ours_hangs_on_the_one_tree():
    found = exceptions_of_ours()
    astray = {kind.__name__ for kind in found if not issubclass(kind, KitError)}
    assert astray == FAULTS
    assert {"FxFailed", "StepFailed", "Refused"} <= {kind.__name__ for kind in found}


def test_no_error_of_ours_is_caught_with_a_builtin():
    """`except OSError` once swallowed an altered audit log, because Refused was one."""
    broad = (OSError, ValueError, RuntimeError, LookupError, TypeError, ArithmeticError)
    assert [kind for kind in exceptions_of_ours() if issubclass(kind, broad)] == []


def test_an_error_comes_whole_through_a_pool_of_processes():
    for kind in exceptions_of_ours():
        passed = pickle.loads(pickle.dumps(kind("Case a: expected x, got y.")))
        assert (type(passed), str(passed)) == (kind, "Case a: expected x, got y.")
