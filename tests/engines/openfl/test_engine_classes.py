"""What is known of OpenFL by name is what OpenFL 1.9 has."""

import inspect
from importlib import import_module
from pathlib import Path

import pytest

from src.plan import plan as plans
from src.plan.declared import declared
from src.plan.engine_classes import ARGUMENTS, NAMED, NETWORK
from src.plan.plan import load_template
from src.plan.signature import arguments, attributes
from src.plan.sources import running

PLANS = Path(__file__).resolve().parents[3] / "plan"
TEMPLATES = sorted(
    {
        part["template"]
        for name in (
            "plan",
            "plain",
            "fedprox",
            "scaffold",
            "fednova",
            "fedavgm",
            "fedadam",
            "median",
            "krum",
            "nearest_neighbours",
            "dp",
            "dp_site",
            "full",
        )
        for _, part in plans.parts(plans.read(PLANS / f"{name}.yaml"))
    }
    - {NETWORK, *NAMED}
)


def of(name: str) -> type:
    module, _, last = name.rpartition(".")
    return getattr(import_module(module), last)


@pytest.mark.parametrize("name", ARGUMENTS)
def test_openfls_classes_take_what_is_said(name):
    own = "__init__" in vars(of(name))
    given = list(inspect.signature(of(name).__init__).parameters.values())[1:] if own else []
    named = [p for p in given if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    every, needed = ARGUMENTS[name]
    assert [p.name for p in named] == list(every)
    assert {p.name for p in named if p.default is p.empty} == set(needed)


def taken(template: type) -> tuple[set[str], set[str]]:
    """The same of a class that was imported, followed upwards while it takes **kwargs."""
    known: set[str] = set()
    needed: set[str] = set()
    for cls in template.__mro__[:-1]:
        if "__init__" not in vars(cls):
            continue
        _, *parameters = inspect.signature(cls.__init__).parameters.values()
        named = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
        needed |= {p.name for p in named if p.default is p.empty} - known
        known |= {p.name for p in named}
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return known, needed


@pytest.mark.parametrize("template", TEMPLATES)
def test_what_is_read_of_a_class_is_what_is_imported(template):
    loaded, read = load_template(template), arguments(template, running())
    assert (set(read.all), set(read.needed)) == taken(loaded)
    assert all(hasattr(loaded, name) for name in attributes(template, running()))
    said = vars(loaded).get("DECLARES")
    assert said is None or declared({"template": template}) == said
