"""What the parts of a plan declare of themselves: read in one place, and refused where missing.

A declaration holds for the class that carries it. What a class inherits was said of another one,
so a subclass declares itself anew. It is read from the source, and nothing is imported for it; so
it is written out, as words and truth values.
"""

import ast
import difflib
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

from src.errors import PlanError
from src.plan.engine_classes import NAMED, NETWORK
from src.plan.parts import Declares
from src.plan.plan import parts
from src.plan.signature import attributes, own_attributes
from src.plan.sources import Class, Sources, running

NAME = "DECLARES"
OLD_FLAGS = {  # class attributes of earlier releases, and the field that says the same now
    "LEAVES": "leaves",
    "PRIVACY": "privacy",
    "SPENDS": "spends",
    "PER_PATIENT": "per_patient",
    "SEALS": "encrypted",
    "ADDS_SEALED": "encrypted",
    "PRIVATE": "private",
    "VALIDATES": "validated_on",
    "SAME_EVERYWHERE": "same_everywhere",
}
DECLARES = f"{Declares.__module__}.{Declares.__name__}"

# By place in the plan: what a part there must say of itself, whatever it says.
DEMANDED = {
    "aggregator": ("encrypted",),
    "compression_pipeline": ("leaves", "privacy", "encrypted"),
    "compression_pipeline.settings.noise": ("leaves", "spends"),
    "task_runner.settings.algorithm": ("leaves", "per_patient"),
    "task_runner.settings.local": ("leaves", "spends"),
    "task_runner.settings.personal": ("leaves",),
    "task_runner.settings.reported_metrics": ("leaves", "spends", "private", "validated_on"),
    "tasks.*.aggregation_type.settings.rule": ("encrypted",),
    "tasks.*.aggregation_type.settings.rule.settings.rule": ("encrypted",),
}
# The places whose spending a site's ledger books; methods that say how much is spent.
BOOKED = (
    "compression_pipeline.settings.noise",
    "task_runner.settings.local",
    "task_runner.settings.reported_metrics",
)
SPENDING = ("a_round", "allowed", "describe", "releases")


def declared(part: Mapping[str, Any], sources: Sources | None = None) -> Declares:
    """What the part's own class declares; `Declares()`, which says nothing, where it is silent.

    sources: where the class is read; None: of the kit that runs.
    PlanError: it says it in a word that nobody reads, or not written out.
    """
    template = part["template"]
    if template in NAMED or template == NETWORK:
        return Declares()
    found = (sources or running()).find(template)
    own = own_attributes(found)
    for flag, field in OLD_FLAGS.items():
        if flag in own:
            raise PlanError(
                f"{template} has the class attribute {flag}, which nobody reads. Say it as "
                f"{NAME} = Declares({field}=…), of src.plan.parts."
            )
    if NAME not in own:
        words = [word for word in own if word.isupper()]
        for word in difflib.get_close_matches(NAME, words, n=1, cutoff=0.75):
            raise PlanError(f"{template} has {word}; did you mean {NAME}?")
        return Declares()
    return _written_out(found, own[NAME])


def _written_out(found: Class, said: ast.expr | None) -> Declares:
    """The declaration that an expression writes out. PlanError: it is another one."""
    if not isinstance(said, ast.Call) or found.module.dotted(said.func) != DECLARES or said.args:
        shown = "something else" if said is None else ast.unparse(said)
        raise PlanError(
            f"{found.template}.{NAME} must be a Declares of src.plan.parts, got {shown!r}."
        )
    try:
        return Declares(**{word.arg: ast.literal_eval(word.value) for word in said.keywords})  # type: ignore[misc]
    except (ValueError, TypeError) as error:
        raise PlanError(
            f"{found.template}.{NAME}: expected fields of Declares with words, True or False "
            f"written out, so that they can be read without running anything ({error})."
        ) from None


def declarations(
    plan: Mapping[str, Any], sources: Sources | None = None
) -> Iterator[tuple[str, Mapping[str, Any], Declares]]:
    """(place, part, what it declares) of every part, outer parts first."""
    for place, part in parts(plan):
        yield place, part, declared(part, sources)


def is_private(plan: Mapping[str, Any], sources: Sources | None = None) -> bool:
    """Whether a part of the plan guarantees differential privacy."""
    return any(says.spends for _, _, says in declarations(plan, sources))


def check_declared(place: str, part: Mapping[str, Any], sources: Sources) -> None:
    """PlanError if the part leaves something unsaid that must be said at its place."""
    says = declared(part, sources)
    demanded = [fields for where, fields in DEMANDED.items() if fnmatchcase(place, where)]
    for field in demanded[0] if demanded else ():
        if getattr(says, field) is None:
            raise PlanError(
                f"{part['template']} does not declare {field}. Every part that may stand here says "
                f"so in its own class: {NAME} = Declares({field}=…), of src.plan.parts; "
                "what it inherits was said of another. See plan/README.md."
            )
    if not says.spends:
        return
    if place not in BOOKED:
        raise PlanError(
            f"{part['template']} declares spends, but what is spent here is booked in no ledger. "
            f"A mechanism stands in {', '.join(word.rpartition('.')[2] for word in BOOKED)}."
        )
    for method in SPENDING:
        if method not in attributes(part["template"], sources):
            raise PlanError(f"{part['template']} declares spends, but has no method {method}.")
