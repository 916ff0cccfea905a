"""Compiled copies of the code (`__pycache__`): Python runs them, and nobody reads them.

Plain `fx` writes some beside the code. A copy is harmless if it is exactly what its own source
compiles to; one that claims to be unchecked, or bears the source's date, runs whatever it holds.
`approve` and `start` remove all of them, and `start` has none written. The gate of a process that
plain `fx` has started compares each with its source: reading a compiled copy is as unsafe as
running it (`marshal`), so nobody else does.
"""

import marshal
import os
import shutil
import sys
from collections.abc import Iterator
from importlib.util import source_from_cache
from pathlib import Path
from types import CodeType

from src.errors import Refused
from src.trust.walk import COMPILED, DATA

HEADER_BYTES = 16  # magic number, flags, and date and size or hash of the source: PEP 552
OPTIMISED = {"": 0, "1": 1, "2": 2}
FIELDS = (  # of a code object: all that decides what it does; not the file's name
    *("co_name", "co_qualname", "co_code", "co_consts", "co_names", "co_varnames", "co_freevars"),
    *("co_cellvars", "co_flags", "co_argcount", "co_posonlyargcount", "co_kwonlyargcount"),
    *("co_nlocals", "co_stacksize", "co_exceptiontable", "co_linetable", "co_firstlineno"),
)


def folders(workspace: Path) -> list[Path]:
    """Every folder of compiled copies in a workspace; none below data/, from where nothing runs."""
    found = []
    for place, names, _ in os.walk(workspace):
        if Path(place) == workspace:
            names[:] = [name for name in names if name != DATA]
        if COMPILED in names:
            found.append(Path(place) / COMPILED)
            names.remove(COMPILED)
    return sorted(found)


def copies(workspace: Path) -> list[Path]:
    """Every file in those folders."""
    return [path for folder in folders(workspace) for path in _files(folder)]


def remove(workspace: Path) -> int:
    """Remove them unread; how many files they were."""
    number = len(copies(workspace))
    for folder in folders(workspace):
        if folder.is_symlink():
            folder.unlink()
        else:
            shutil.rmtree(folder)
    return number


def check(workspace: Path) -> None:
    """Refused if a compiled copy is not exactly what its own source compiles to.

    Only for the process that has been started and may have run it.
    """
    for path in copies(workspace):
        if not _is_its_sources(path):
            raise Refused(
                f"{path}: a compiled copy that is not what its source compiles to. It may have run "
                f"in this process. Remove every {COMPILED}, find out who put it there, and start "
                "with python -m src start, which reads none."
            )


def _files(folder: Path) -> Iterator[Path]:
    if folder.is_symlink():
        yield folder
        return
    for place, names, files in os.walk(folder):
        links = [name for name in names if (Path(place) / name).is_symlink()]
        yield from (Path(place) / name for name in sorted([*files, *links]))


def _is_its_sources(path: Path) -> bool:
    try:
        source = Path(source_from_cache(str(path)))
        tag, _, level = path.name.removesuffix(".pyc").rpartition(".opt-")
        tag = (tag or level).rpartition(".")[2]
        optimised = OPTIMISED[level if ".opt-" in path.name else ""]
        if path.is_symlink() or tag != sys.implementation.cache_tag or source.is_symlink():
            return False
        content = path.read_bytes()
        found = marshal.loads(memoryview(content)[HEADER_BYTES:])
        expected = compile(
            source.read_bytes(), str(source), "exec", dont_inherit=True, optimize=optimised
        )
    except (ValueError, KeyError, OSError, EOFError, TypeError, SyntaxError):
        return False
    return isinstance(found, CodeType) and _same(found, expected)


def _same(one: object, other: object) -> bool:
    """Whether two code objects, or constants of them, are the same in every field and type."""
    if type(one) is not type(other):
        return False
    if isinstance(one, CodeType):
        return all(_same(getattr(one, field), getattr(other, field)) for field in FIELDS)
    if isinstance(one, tuple) and isinstance(other, tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, frozenset) and isinstance(other, frozenset):
        return sorted(map(_word, one)) == sorted(map(_word, other))
    return repr(one) == repr(other)


def _word(constant: object) -> str:
    return f"{type(constant).__name__} {constant!r}"
