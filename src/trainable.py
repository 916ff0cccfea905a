"""Which parameters of a network may move, named by words of the plan: `[GroupNorm, head]`.

Differential privacy adds noise to every trainable value: its length grows with the root of their
number, the update's does not. So a plan may train only a small part of a pretrained network.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from src.errors import SettingError

if TYPE_CHECKING:
    from torch import nn


def trainable_names(network: "nn.Module", words: Iterable[str] | None) -> set[str]:
    """The names of the trainable parameters, as in `network.named_parameters()`.

    words: None for all parameters. A word is a module's class (`GroupNorm`: every one of them) or
        its place in the network (`head`, `down.0`), and stands for all parameters inside.
    SettingError: a word names no parameter.
    """
    names = {name for name, _ in network.named_parameters()}
    if words is None:
        return names
    found: set[str] = set()
    for word in words:
        modules = [
            place
            for place, module in network.named_modules()
            if place and word in (place, type(module).__name__)
        ]
        named = {name for name in names if any(name.startswith(f"{m}.") for m in modules)}
        if not named:
            raise SettingError(
                f"trainable: {word!r} names no parameter of {type(network).__name__}. "
                f"There are: {', '.join(_words(network))}."
            )
        found |= named
    if not found:
        raise SettingError(
            "trainable is empty: nothing would be trained. Name modules, or give null."
        )
    return found


def _words(network: "nn.Module") -> list[str]:
    """Classes of the modules that hold parameters themselves, and the children's names."""
    classes = {
        type(module).__name__
        for module in network.modules()
        if module is not network and next(module.parameters(recurse=False), None) is not None
    }
    children = [
        name
        for name, child in network.named_children()
        if next(child.parameters(), None) is not None
    ]
    return [*sorted(classes), *children]
