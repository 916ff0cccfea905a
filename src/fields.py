"""Values taken out of a mapping from outside, each by its exact type and range.

A parser that is content with `true` for 1, with 0.0 for 0, or with capitals in a digest, gives two
messages one meaning, and what was signed is then not what was compared.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from src.errors import WireError
from src.strict import hex_bytes, shown


class Fields:
    """A mapping from outside, whose values are taken by exact type and range.

    WireError, by the constructor: it is no mapping; by every method: the key is missing, or its
    value is anything else than asked for.
    """

    def __init__(self, value: Any) -> None:
        if not isinstance(value, dict):
            raise WireError(f"expected a mapping, got {shown(value)}.")
        self._value = value

    def __contains__(self, key: str) -> bool:
        return key in self._value

    def only(self, *keys: str) -> "Fields":
        """Itself, if it holds no other keys than these."""
        foreign = sorted(set(self._value) - set(keys), key=str)
        if foreign:
            raise WireError(f"unknown key {shown(foreign[0])}.")
        return self

    def _get(self, key: str, kind: type, what: str) -> Any:
        if key not in self._value:
            raise WireError(f"{key} is missing.")
        value = self._value[key]
        if type(value) is not kind:
            raise WireError(f"{key} must be {what}, got {shown(value)}.")
        return value

    def text(self, key: str, *, most: int = 1 << 20) -> str:
        """A text of at most so many characters."""
        value = self._get(key, str, "a text")
        if len(value) > most:
            raise WireError(f"{key} has {len(value)} characters, expected {most} at most.")
        return value

    def hex(self, key: str, length: int) -> str:
        """Canonical hex of so many bytes, as text."""
        value = self._get(key, str, "hex")
        try:
            hex_bytes(value, length)
        except WireError as error:
            raise WireError(f"{key}: {error}") from None
        return value

    def whole(self, key: str, *, least: int = 0, most: int = 2**31 - 1) -> int:
        """A whole number in a range; `true` and 1.0 are none."""
        value = self._get(key, int, "a whole number")
        if not least <= value <= most:
            raise WireError(f"{key} must lie between {least} and {most}, got {value}.")
        return value

    def number(self, key: str) -> float:
        """A finite number, whole or not."""
        value = self._value.get(key)
        return float(value) if type(value) is int else self._get(key, float, "a number")

    def fields(self, key: str) -> "Fields":
        """A mapping within."""
        return Fields(self._get(key, dict, "a mapping"))

    def entries(self, key: str, *, most: int = 10_000) -> list[Any]:
        """A list of at most so many entries."""
        value = self._get(key, list, "a list")
        if len(value) > most:
            raise WireError(f"{key} has {len(value)} entries, expected {most} at most.")
        return value

    def texts(self, key: str, *, most: int = 10_000) -> list[str]:
        """A list of texts."""
        for value in self.entries(key, most=most):
            if type(value) is not str:
                raise WireError(f"{key} must hold texts alone, got {shown(value)}.")
        return self._value[key]

    def is_none(self, key: str) -> bool:
        """Whether the key is there and its value is null."""
        return key in self._value and self._value[key] is None

    def items(self) -> Iterator[tuple[str, Any]]:
        """Keys and values. WireError: a key is no text."""
        for key, value in self._value.items():
            if type(key) is not str:
                raise WireError(f"expected texts as keys, got {shown(key)}.")
            yield key, value


def check_form(value: Any, form: Mapping[Any, str]) -> None:
    """WireError unless a mapping has these keys, each of its kind: the name of a method above."""
    fields = Fields(value)
    for key, kind in form.items():
        getattr(fields, kind)(key)
