"""Checks of settings that name what they check, so that an error reads as a sentence."""

from collections.abc import Collection, Mapping
from math import isfinite
from typing import TypeVar

from src.errors import InputError, SettingError

T = TypeVar("T")


def positive(name: str, value: float) -> None:
    """SettingError unless value is a finite number above zero."""
    if not isfinite(value) or value <= 0:
        raise SettingError(f"{name} must be above 0, got {value!r}.")


def not_negative(name: str, value: float) -> None:
    """SettingError unless value is a finite number of at least zero."""
    if not isfinite(value) or value < 0:
        raise SettingError(f"{name} must be 0 or more, got {value!r}.")


def whole(name: str, value: int, *, at_least: int = 0) -> None:
    """SettingError unless value is an int (no bool) of at least `at_least`."""
    if not isinstance(value, int) or isinstance(value, bool) or value < at_least:
        raise SettingError(f"{name} must be a whole number of at least {at_least}, got {value!r}.")


def mapping(name: str, value: Mapping) -> None:
    """SettingError unless value is a mapping."""
    if not isinstance(value, Mapping):
        raise SettingError(f"{name} must be a mapping, got {value!r}.")


def in_range(name: str, value: float, low: float, high: float) -> None:
    """SettingError unless low <= value <= high."""
    if not low <= value <= high:
        raise SettingError(f"{name} must lie between {low} and {high}, got {value!r}.")


def one_of(name: str, value: T, choices: Collection[T]) -> None:
    """SettingError unless value is among choices, which the message lists."""
    if value not in choices:
        listed = ", ".join(str(choice) for choice in choices)
        raise SettingError(f"{name} must be one of {listed}; got {value!r}.")


def same_shape(name: str, found: tuple[int, ...], expected: tuple[int, ...]) -> None:
    """InputError unless the two shapes are equal."""
    if tuple(found) != tuple(expected):
        raise InputError(f"{name} must have shape {tuple(expected)}, got {tuple(found)}.")
