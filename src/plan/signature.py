"""What a class takes and has, from its source: the arguments of its constructor, its attributes."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from src.plan.engine_classes import ARGUMENTS, NAMED
from src.plan.sources import Class, Sources

DATACLASS, FIELD = "dataclasses.dataclass", "dataclasses.field"


@dataclass(frozen=True)
class Arguments:
    """Of a constructor. all, needed: names. open: what else it takes cannot be told from here."""

    all: frozenset[str]
    needed: frozenset[str]
    open: bool = False


def arguments(template: Any, sources: Sources) -> Arguments:
    """A class's arguments, followed upwards while it takes **kwargs."""
    if template in NAMED:
        return _of_engine(template)
    sources.find(template)
    own, others = sources.lineage(template)
    known: set[str] = set()
    needed: set[str] = set()
    for found in own:
        names = _constructor(found, own)
        if names is None:
            continue
        every, required, goes_on = names
        needed |= required - known
        known |= every
        if not goes_on:
            return Arguments(frozenset(known), frozenset(needed))
    rest = [_of_engine(name) for name in others if name in ARGUMENTS]
    strange = any(name not in ARGUMENTS and name not in PLAIN for name in others)
    for further in rest:
        needed |= further.needed - known
        known |= further.all
    return Arguments(frozenset(known), frozenset(needed), strange)


PLAIN = {"typing.Protocol", "typing.Generic", "abc.ABC"}  # constructors without arguments


def _of_engine(name: str) -> Arguments:
    every, needed = ARGUMENTS[name]
    return Arguments(frozenset(every), frozenset(needed))


def attributes(template: str, sources: Sources) -> set[str]:
    """What the class has by name, its own and inherited, as far as it is read here."""
    own, _ = sources.lineage(template)
    return {name for found in own for name in own_attributes(found)}


def own_attributes(found: Class) -> dict[str, ast.expr | None]:
    """What stands in the class's own body, by name; the expression, where one is assigned."""
    names: dict[str, ast.expr | None] = {}
    for node in found.node.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names[node.name] = None
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                names |= dict.fromkeys(_stored(target), node.value)
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            names |= dict.fromkeys(_stored(node.target), node.value)
    return names


def _stored(target: ast.expr) -> Iterator[str]:
    return (node.id for node in ast.walk(target) if isinstance(node, ast.Name))


def _constructor(found: Class, lineage: list[Class]) -> tuple[set[str], set[str], bool] | None:
    """(all, needed, whether it passes others on); None: it has no constructor of its own."""
    for node in found.node.body:
        if isinstance(node, ast.FunctionDef) and node.name == "__init__":
            return _of_function(node)
    if _dataclass(found) is None:
        return None
    every: dict[str, bool] = {}  # name: needed; later ones stand for earlier ones
    for parent in reversed(lineage[lineage.index(found) :]):
        if _dataclass(parent) is not None:
            every |= dict(_fields(parent))
    return set(every), {name for name, needed in every.items() if needed}, False


def _of_function(node: ast.FunctionDef) -> tuple[set[str], set[str], bool]:
    positional = [*node.args.posonlyargs, *node.args.args]
    by_place = [arg.arg for arg in node.args.args if arg is not positional[0]]
    without = len(positional) - len(node.args.defaults)
    needed = {arg.arg for arg in positional[:without]} & set(by_place)
    for arg, default in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True):
        by_place.append(arg.arg)
        needed |= set() if default is not None else {arg.arg}
    return set(by_place), needed, node.args.kwarg is not None


def _dataclass(found: Class) -> ast.expr | None:
    for decorator in found.node.decorator_list:
        called = decorator.func if isinstance(decorator, ast.Call) else decorator
        if found.module.dotted(called) == DATACLASS:
            return decorator
    return None


def _fields(found: Class) -> Iterator[tuple[str, bool]]:
    """(name, whether it must be given) of a dataclass's own fields."""
    for node in found.node.body:
        if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
            continue
        if found.module.dotted(node.annotation) == "typing.ClassVar":
            continue
        value = node.value
        if isinstance(value, ast.Call) and found.module.dotted(value.func) == FIELD:
            words = {word.arg: word.value for word in value.keywords}
            given = words.get("init")
            if isinstance(given, ast.Constant) and given.value is False:
                continue
            yield node.target.id, not {"default", "default_factory"} & words.keys()
        else:
            yield node.target.id, value is None
