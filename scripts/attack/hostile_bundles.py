"""Hostile bundles: each is planted in an honest workspace, with a payload that leaves a mark.

A payload writes the file CANARY. `prove` is how it would run where nothing stood in its way: as
OpenFL 1.9 builds what a plan names, or as Python imports what lies in the folder of `fx`. A text
does its harm on the screen: there the mark is in what is printed.
"""

import importlib.util
import marshal
import py_compile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

CANARY = "canary"  # in the folder above the workspace
ESCAPE, BIDI, MARKUP = "\x1b[2J\x1b[1;31m", "\u202e", "[bold red]marked"
FORGED = "x\nWords:     safe safe safe"
MINE = "src/training/mine.py"
VICTIM = "src/errors.py"  # imported by everything
AS_OPENFL_BUILDS = """
import importlib, sys, yaml
sys.path.insert(0, "")
plan = yaml.safe_load(open("plan/plan.yaml"))
for word in sys.argv[1].split("."):
    plan = plan[word]
module, _, name = plan["template"].rpartition(".")
built = getattr(importlib.import_module(module), name)(**plan["settings"])
if hasattr(built, "wait"):
    built.wait()
"""
AS_PYTHON_IMPORTS = """
import importlib, sys
sys.path.insert(0, "")
importlib.import_module(sys.argv[1])
"""


@dataclass(frozen=True)
class Bundle:
    """A hostile bundle.

    plant: changes the workspace. prove: (program, argument) that runs the payload, in the
    workspace; None: it runs nothing by itself. hidden: what must not reach the screen as it is.
    kept: what must, since nobody may obey it. removed: `start` takes it away, and goes on.
    """

    name: str
    plant: Callable[[Path], None]
    prove: tuple[str, str] | None = None
    hidden: str = ""
    kept: str = ""
    removed: bool = False


def shell(workspace: Path) -> str:
    """The payload as a command of a shell."""
    return f"touch {workspace.parent / CANARY}"


def python(workspace: Path) -> str:
    """The payload as a line of Python."""
    return f"import os; os.system({shell(workspace)!r})\n"


def plan(section: str, change: Callable[[dict[str, Any], Path], None]) -> Callable[[Path], None]:
    """Plant: the plan's section is changed."""

    def plant(workspace: Path) -> None:
        path = workspace / "plan" / "plan.yaml"
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        change(content[section], workspace)
        path.write_text(yaml.safe_dump(content), encoding="utf-8")

    return plant


def file(name: str, content: Callable[[Path], str] = python) -> Callable[[Path], None]:
    """Plant: a file lies in the workspace."""

    def plant(workspace: Path) -> None:
        path = workspace / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content(workspace), encoding="utf-8")

    return plant


def both(*plants: Callable[[Path], None]) -> Callable[[Path], None]:
    """Plant one after the other."""

    def plant(workspace: Path) -> None:
        for each in plants:
            each(workspace)

    return plant


def named(template: str, **settings: Any) -> Callable[[dict[str, Any], Path], None]:
    """The section becomes another class; `shell` among the settings is the payload."""

    def change(section: dict[str, Any], workspace: Path) -> None:
        ready = {key: _filled(value, workspace) for key, value in settings.items()}
        section.clear()
        section.update(template=template, settings=ready)

    return change


def nested(setting: str, template: str, **settings: Any):
    """The same, of a part inside the section."""

    def change(section: dict[str, Any], workspace: Path) -> None:
        inner: dict[str, Any] = {}
        named(template, **settings)(inner, workspace)
        section.setdefault("settings", {})[setting] = inner

    return change


def _filled(value: Any, workspace: Path) -> Any:
    if isinstance(value, list):
        return [_filled(inner, workspace) for inner in value]
    return value(workspace) if callable(value) else value


def host(name: str) -> Callable[[dict[str, Any], Path], None]:
    """The aggregator's host has this name."""
    return lambda section, _: section["settings"].update(agg_addr=name)


# -- compiled copies, links ------------------------------------------------------------------------


def _compiled(workspace: Path, mode: py_compile.PycInvalidationMode) -> Path:
    """A copy beside VICTIM that holds the payload before the victim's own code."""
    source = workspace / VICTIM
    evil = workspace.parent / "evil.py"
    evil.write_text(python(workspace) + source.read_text(encoding="utf-8"), encoding="utf-8")
    copy = Path(importlib.util.cache_from_source(str(source)))
    py_compile.compile(str(evil), str(copy), invalidation_mode=mode)
    return copy


def unchecked_copy(workspace: Path) -> None:
    """A compiled copy that says of itself that it need not be compared with its source."""
    _compiled(workspace, py_compile.PycInvalidationMode.UNCHECKED_HASH)


def dated_copy(workspace: Path) -> None:
    """A compiled copy that bears its source's date and size."""
    copy = _compiled(workspace, py_compile.PycInvalidationMode.TIMESTAMP)
    honest = (workspace / VICTIM).stat()
    header = bytearray(copy.read_bytes())
    header[8:12] = int(honest.st_mtime).to_bytes(4, "little")
    header[12:16] = honest.st_size.to_bytes(4, "little")
    copy.write_bytes(header)


def without_source(workspace: Path) -> None:
    """A compiled module that has no source at all."""
    code = compile(python(workspace), "evil.py", "exec")
    header = importlib.util.MAGIC_NUMBER + bytes(12)
    (workspace / "src/training/evil.pyc").write_bytes(header + marshal.dumps(code))


def linked(name: str, *, folder: bool) -> Callable[[Path], None]:
    """Plant: a link to code that lies elsewhere."""

    def plant(workspace: Path) -> None:
        elsewhere = workspace.parent / "elsewhere"
        elsewhere.mkdir(exist_ok=True)
        (elsewhere / "evil.py").write_text(python(workspace), encoding="utf-8")
        (workspace / name).symlink_to(elsewhere if folder else elsewhere / "evil.py")

    return plant


def defaults(workspace: Path) -> None:
    """A section of the plan is looked up in a file that no digest covers."""
    plan("compression_pipeline", lambda section, _: section.clear())(workspace)
    plan("compression_pipeline", lambda s, _: s.update(defaults="defaults/n.yaml"))(workspace)
    text = yaml.safe_dump({"template": "os.system", "settings": {"command": shell(workspace)}})
    file("plan/defaults/n.yaml", lambda _: text)(workspace)


CLASS = "class Mine:\n    pass\n"
POPEN = {"args": ["sh", "-c", shell]}
BUILT, IMPORTED = AS_OPENFL_BUILDS, AS_PYTHON_IMPORTS
PIPELINE = "compression_pipeline"

NOISE = f"{PIPELINE}.settings.noise"

HOSTILE = (
    Bundle(
        "the pipeline is os.system",
        plan(PIPELINE, named("os.system", command=shell)),
        (BUILT, PIPELINE),
    ),
    Bundle(
        "a nested part is subprocess.Popen",
        plan(PIPELINE, nested("noise", "subprocess.Popen", **POPEN)),
        (BUILT, NOISE),
    ),
    Bundle(
        "the network is subprocess.Popen",
        plan("task_runner", nested("model", "subprocess.Popen", **POPEN)),
        (BUILT, "task_runner.settings.model"),
    ),
    Bundle(
        "a part at a place that nobody knows is subprocess.Popen",
        plan("data_loader", nested("extra", "subprocess.Popen", **POPEN)),
        (BUILT, "data_loader.settings.extra"),
    ),
    Bundle(
        "the data loader runs a file in a hidden folder",
        both(
            file("src/.x/evil.txt"),
            plan("data_loader", named("runpy.run_path", path_name="src/.x/evil.txt")),
        ),
        (BUILT, "data_loader"),
    ),
    Bundle(
        "a part is what a module of the code only imports",
        both(
            file(MINE, lambda _: "from subprocess import Popen\n"),
            plan(PIPELINE, nested("noise", "src.training.mine.Popen", **POPEN)),
        ),
        (BUILT, NOISE),
    ),
    Bundle(
        "a new module runs when it is imported",
        both(
            file(MINE, lambda w: python(w) + CLASS),
            plan("task_runner", nested("algorithm", "src.training.mine.Mine")),
        ),
        (BUILT, "task_runner.settings.algorithm"),
    ),
    Bundle(
        "a module of the kit, changed, runs when it is imported",
        file(VICTIM),
        (IMPORTED, "src.errors"),
    ),
    Bundle(
        "a module beside src/ runs when it is imported",
        both(
            file("mylab/evil.py", lambda w: python(w) + CLASS),
            plan("task_runner", nested("algorithm", "mylab.evil.Mine")),
        ),
        (BUILT, "task_runner.settings.algorithm"),
    ),
    Bundle(
        "a class has a library's name, and the library's is built",
        both(
            file("subprocess.py", lambda _: "class Popen:\n    pass\n"),
            plan(PIPELINE, nested("noise", "subprocess.Popen", **POPEN)),
        ),
        ("import subprocess\n" + BUILT, NOISE),
    ),
    Bundle(
        "a compiled copy that is never compared",
        unchecked_copy,
        (IMPORTED, "src.errors"),
        removed=True,
    ),
    Bundle(
        "a compiled copy with its source's date",
        dated_copy,
        (IMPORTED, "src.errors"),
        removed=True,
    ),
    Bundle("a compiled module without a source", without_source, (IMPORTED, "src.training.evil")),
    Bundle("a linked folder", linked("src/extra", folder=True), (IMPORTED, "src.extra.evil")),
    Bundle("a linked file", linked("src/extra.py", folder=False), (IMPORTED, "src.extra")),
    Bundle("plan/ is a package, which `fx` imports", file("plan/__init__.py"), (IMPORTED, "plan")),
    Bundle("logs/ is a package", file("logs/__init__.py"), (IMPORTED, "logs")),
    Bundle("a module with a name of `fx`'s", file("collaborator.py"), (IMPORTED, "collaborator")),
    Bundle("defaults that no digest covers", defaults),
    Bundle("a second plan", file("plan/quick.yaml", lambda _: "a: 1")),
    Bundle("escape sequences in the plan", plan("network", host(ESCAPE)), hidden=ESCAPE),
    Bundle("marks of direction in the plan", plan("network", host(BIDI)), hidden=BIDI),
    Bundle("markup of the screen in the plan", plan("network", host(MARKUP)), kept=MARKUP),
    Bundle("a row of words in the plan", plan("network", host(FORGED)), hidden=FORGED),
    Bundle("escape sequences in a file's name", file(f"src/{ESCAPE}.py"), hidden=ESCAPE),
    Bundle("marks of direction in a file's name", file(f"src/{BIDI}yp.py"), hidden=BIDI),
    Bundle("escape sequences in code", file(MINE, lambda _: f"# {ESCAPE}\n"), hidden=ESCAPE),
)
