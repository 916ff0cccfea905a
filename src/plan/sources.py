"""Sources: the classes that a plan names, read as text; nothing of them is imported or run.

A plan may name a class of this kit (`src.…`), or one of a module that lies in its bundle. Whoever
looks at a plan must not run it, so what a class declares, offers and takes is read from its syntax
tree (`ast`). What is imported later, to be built, must be the very class that was read here
(`src.plan.plan.load_template`).
"""

import ast
import difflib
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib.machinery import EXTENSION_SUFFIXES, PathFinder
from pathlib import Path

from src.errors import PlanError
from src.plan import moved
from src.plan.module import Module

KIT = Path(__file__).resolve().parents[2]  # the copy of the kit that runs
MOST_NAME = 200  # characters of a module's dotted name; a folder's may have 255
MARK = ".workspace"  # OpenFL puts it into every workspace
NO_CODE = (  # folders of a workspace that are a party's own, or no code: no module lies there
    ["cert", "data", "logs", "local_state", "save", "cache", "evaluation", "approvals", "plan"]
)


@dataclass(frozen=True)
class Class:
    """A class as its source says. bases: dotted names, as far as they can be told."""

    template: str
    module: Module
    node: ast.ClassDef

    @property
    def bases(self) -> list[str]:
        """The dotted names of what it inherits from; "?" for what is no name."""
        return [self.module.dotted(base) or "?" for base in self.node.bases]


@dataclass(frozen=True)
class Sources:
    """The modules below a folder that a plan may name.

    root: the kit's folder, or a workspace.
    tops: the packages that belong to it; None: whatever lies in the workspace beside its data.
    """

    root: Path
    tops: tuple[str, ...] | None = ("src",)
    _read: dict[str, Module | None] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def of(cls, root: Path) -> "Sources":
        """Of a kit's folder or of a workspace, whichever it is."""
        return cls(root, None if (root / MARK).is_file() else ("src",))

    def allows(self, module: str) -> bool:
        """Whether a module of this name is the kit's, or would lie in the bundle."""
        top = module.partition(".")[0]
        if self.tops is not None:
            return top in self.tops
        return top == "src" or not (top in NO_CODE or is_installed(top, self.root))

    def find(self, template: object) -> Class:
        """The class that a dotted path names.

        PlanError: it is no path, none that a plan may name, or no class that its module defines.
        """
        if not isinstance(template, str) or not all(
            word.isidentifier() and word != "__pycache__" for word in template.split(".")
        ):
            raise PlanError(f"template must be a dotted class path, got {template!r}.")
        if template in moved.TEMPLATES:
            raise PlanError(f"template {template} has moved to {moved.TEMPLATES[template]}.")
        module_name, dot, name = template.rpartition(".")
        if not dot:
            raise PlanError(f"template must be a dotted class path, got {template!r}.")
        if not self.allows(module_name):
            raise PlanError(
                f"template {template} lies outside the code: a plan names classes of this kit "
                "(src.…) or of modules that lie in its bundle, and a few of OpenFL at their "
                "places. What another library offers is wrapped in a class of src/. See "
                "plan/README.md."
            )
        module = self.module(module_name)
        if module is None:
            raise PlanError(f"template {template:.200}: there is no module {module_name:.200}.")
        return Class(template, module, module.own_class(name, template))

    def module(self, name: str) -> Module | None:
        """A module by its dotted name, read once; None: there is none here, nor could be.

        PlanError: a compiled module lies beside it, which Python would load in its place.
        """
        if len(name) > MOST_NAME:
            return None
        if name not in self._read:
            place = self.root.joinpath(*name.split("."))
            bases = [place / "__init__", place]
            for compiled in [Path(f"{base}{end}") for base in bases for end in EXTENSION_SUFFIXES]:
                if compiled.exists():
                    raise PlanError(f"{compiled}: Python would load it instead of a source.")
            paths = [path for base in bases if (path := Path(f"{base}.py")).is_file()]
            self._read[name] = Module.read(name, paths[0]) if paths else None
        return self._read[name]

    def lineage(self, template: str) -> tuple[list[Class], list[str]]:
        """(the class and what it inherits from, as far as it is read here; the others' names).

        Near ones first; a name is followed through the imports of the modules here.
        """
        own, others, ahead = [], [], [template]
        while ahead:
            found = self._known(ahead[0])
            name = ahead.pop(0)
            if found is None:
                others.append(name)
            elif all(found.node is not known.node for known in own):
                own.append(found)
                ahead = found.bases + ahead
        return own, others

    def _known(self, name: str) -> Class | None:
        """The class of a dotted name, wherever in these sources it was imported from."""
        for _ in range(20):  # imports that point at each other end here
            module_name, _, last = name.rpartition(".")
            if not module_name or not self.allows(module_name):
                return None
            module = self.module(module_name)
            if module is None:
                return None
            if last in module.classes:
                return Class(name, module, module.classes[last])
            if last not in module.imports:
                return None
            name = module.imports[last]
        return None


def is_installed(top: str, root: Path) -> bool:
    """Whether Python has a package of this name without the folder `root`: it would be found first.

    (OpenFL imports a template by its name alone, and gets what is loaded already.)
    """
    if top in sys.stdlib_module_names or top.startswith("__"):
        return True
    here = {root.resolve(), KIT}
    elsewhere = [path for path in sys.path if path and Path(path).resolve() not in here]
    return PathFinder.find_spec(top, elsewhere) is not None


RUNNING = Sources.of(KIT)


def running() -> Sources:
    """The sources of the kit that runs: in a workspace the whole bundle, else `src/` alone."""
    return RUNNING


def is_here(template: object) -> bool:
    """Whether the kit that runs has the class; else it came with a bundle, and is only read."""
    try:
        running().find(template)
    except PlanError:
        return False
    return True


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A word that is not known, with the nearest that is."""
    known = sorted(known)
    if moved.SETTINGS.get(word) in known:
        return f"{word!r}, which is now {moved.SETTINGS[word]!r}"
    close = difflib.get_close_matches(word, known, n=1)
    if close:
        return f"{word!r}; did you mean {close[0]!r}?"
    return f"{word!r}; there are: {', '.join(known) or 'none'}"
