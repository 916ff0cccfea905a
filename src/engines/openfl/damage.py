"""Damage of this machine's own log or state, found while a site is served, ends the run."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

from src.errors import Damaged

Method = TypeVar("Method", bound=Callable[..., Any])


def own_damage_ends_the_run(method: Method) -> Method:
    """A call during which this machine's own log or state proves damaged is the last of the run.

    The operator is told why; the caller gets no answer and asks again, as after any fault here.
    """

    @wraps(method)
    def guarded(self: Any, *arguments: Any, **named: Any) -> Any:
        try:
            return method(self, *arguments, **named)
        except Damaged as damage:
            self.ending.fail(f"Round {self.round_number}: {damage}")
            raise

    return cast(Method, guarded)
