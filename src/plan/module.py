"""A module of Python read as text: what it imports, what it binds, which classes it defines."""

import ast
import difflib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from src.errors import PlanError

MOST_BYTES = 1 << 20


@dataclass(frozen=True)
class Module:
    """A module.

    imports: by the name it is known by here, the dotted name of what was imported.
    classes: the classes that stand at its outermost level.
    bound: how often each name is bound at that level, whatever to.
    """

    name: str
    path: Path
    imports: dict[str, str]
    classes: dict[str, ast.ClassDef]
    bound: Counter[str]

    @classmethod
    def read(cls, name: str, path: Path) -> "Module":
        """Read a file. PlanError: it is no Python, or far too long."""
        content = path.read_bytes()
        try:
            if len(content) > MOST_BYTES:
                raise ValueError(f"{len(content)} bytes")
            tree = ast.parse(content)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise PlanError(f"{path}: not readable as Python: {error}") from None
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        imports, classes, bound = {}, {}, Counter()
        for node in _outermost(tree.body):
            if isinstance(node, ast.Import | ast.ImportFrom):
                found = dict(_imported(node, package))
                imports |= found
                bound.update(found.keys())
            elif isinstance(node, ast.ClassDef):
                classes[node.name] = node
                bound[node.name] += 1
            else:
                bound.update(_names(node))
        return cls(name, path, imports, classes, bound)

    def own_class(self, name: str, template: str) -> ast.ClassDef:
        """The class of this name that is defined here, and bound once. PlanError: there is none.

        template: what messages call it.
        """
        if name in self.classes and self.bound[name] == 1:
            return self.classes[name]
        if name in self.classes or (name in self.bound and name not in self.imports):
            what = f"is bound {self.bound[name]} times" if name in self.classes else "is no class"
            raise PlanError(f"template {template}: {name} {what} in {self.name}; expected a class.")
        if name in self.imports:
            raise PlanError(
                f"template {template}: {self.name} only imports {name}. Name the module that "
                f"defines it: {self.imports[name]}."
            )
        close = difflib.get_close_matches(name, self.classes, n=1)
        known = f"; did you mean {close[0]!r}?" if close else f"; there are: {self._known()}"
        raise PlanError(f"template {template}: no {name!r}{known} in {self.name}.")

    def dotted(self, expression: ast.expr) -> str | None:
        """The dotted name that an expression stands for; None: it is no name."""
        if isinstance(expression, ast.Name):
            known = self.imports.get(expression.id)
            return known or f"{self.name}.{expression.id}"
        if isinstance(expression, ast.Attribute):
            before = self.dotted(expression.value)
            return before and f"{before}.{expression.attr}"
        if isinstance(expression, ast.Subscript):  # Generic[T]
            return self.dotted(expression.value)
        return None

    def _known(self) -> str:
        return ", ".join(sorted(name for name in self.classes if name[0] != "_")) or "none"


def _outermost(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements that bind names in the module itself, inside `if`, `try` and loops too."""
    for node in body:
        yield node
        if isinstance(node, ast.If | ast.Try | ast.TryStar | ast.With | ast.For | ast.While):
            inner = [*node.body, *getattr(node, "orelse", []), *getattr(node, "finalbody", [])]
            for handler in getattr(node, "handlers", []):
                inner += handler.body
            yield from _outermost(inner)
        elif isinstance(node, ast.Match):
            yield from _outermost([inner for case in node.cases for inner in case.body])


def _imported(node: ast.Import | ast.ImportFrom, package: str) -> Iterator[tuple[str, str]]:
    if isinstance(node, ast.Import):
        for alias in node.names:
            top = alias.name.partition(".")[0]
            yield (alias.asname, alias.name) if alias.asname else (top, top)
        return
    above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
    origin = ".".join([*above, *([node.module] if node.module else [])])
    for alias in node.names:
        yield alias.asname or alias.name, f"{origin}.{alias.name}"


def _names(node: ast.stmt) -> Iterator[str]:
    """The names that a statement binds: a function's, or those that are assigned or deleted to."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        yield node.name
        return
    if isinstance(node, ast.If | ast.While):
        parts: list[ast.AST] = [node.test]
    elif isinstance(node, ast.For):
        parts = [node.target, node.iter]
    elif isinstance(node, ast.With):
        parts = [*node.items]
    elif isinstance(node, ast.Try | ast.TryStar):
        yield from (handler.name for handler in node.handlers if handler.name)
        return
    else:
        parts = [node]
    for part in parts:
        for inner in ast.walk(part):
            if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store | ast.Del):
                yield inner.id
