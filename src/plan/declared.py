"""What the parts of a plan declare of themselves: read in one place, and refused where missing.

A declaration holds for the class that carries it. What a class inherits was said of another one,
so a subclass declares itself anew.
"""

import difflib
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

from src.errors import PlanError
from src.plan.parts import Declares
from src.plan.plan import load_template, parts

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
NETWORK = "openfl.federation.Network"  # OpenFL 1.9 names a class that does not exist here

# By place in the plan: what a part there must say of itself, whatever it says.
DEMANDED = {
    "aggregator": ("encrypted",),
    "compression_pipeline": ("leaves", "privacy", "encrypted"),
    "compression_pipeline.settings.noise": ("leaves", "spends"),
    "task_runner.settings.algorithm": ("leaves", "per_patient"),
    "task_runner.settings.local": ("leaves", "spends"),
    "task_runner.settings.reported_metrics": ("leaves", "spends", "private", "validated_on"),
    "tasks.*.aggregation_type.settings.rule": ("encrypted",),
}
# The places whose spending a site's ledger books; methods that say how much is spent.
BOOKED = (
    "compression_pipeline.settings.noise",
    "task_runner.settings.local",
    "task_runner.settings.reported_metrics",
)
SPENDING = ("a_round", "allowed", "describe", "releases")


def declared(part: Mapping[str, Any]) -> Declares:
    """What the part's own class declares; `Declares()`, which says nothing, where it is silent.

    PlanError: it says it in a word that nobody reads.
    """
    template = load_template(part["template"])
    own = vars(template)
    for flag, field in OLD_FLAGS.items():
        if flag in own:
            raise PlanError(
                f"{part['template']} has the class attribute {flag}, which nobody reads. Say it as "
                f"{NAME} = Declares({field}=…), of src.plan.parts."
            )
    if NAME not in own:
        words = [word for word in own if word.isupper()]
        for word in difflib.get_close_matches(NAME, words, n=1, cutoff=0.75):
            raise PlanError(f"{part['template']} has {word}; did you mean {NAME}?")
        return Declares()
    if not isinstance(own[NAME], Declares):
        raise PlanError(
            f"{part['template']}.{NAME} must be a Declares of src.plan.parts, got {own[NAME]!r}."
        )
    return own[NAME]


def declarations(plan: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any], Declares]]:
    """(place, part, what it declares) of every part, outer parts first."""
    for place, part in parts(plan):
        if part["template"] != NETWORK:
            yield place, part, declared(part)


def is_private(plan: Mapping[str, Any]) -> bool:
    """Whether a part of the plan guarantees differential privacy."""
    return any(says.spends for _, _, says in declarations(plan))


def check_declared(place: str, part: Mapping[str, Any]) -> None:
    """PlanError if the part leaves something unsaid that must be said at its place."""
    says = declared(part)
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
        if not hasattr(load_template(part["template"]), method):
            raise PlanError(f"{part['template']} declares spends, but has no method {method}.")
