"""Mutations: bytes and values as a bad disk, a hasty hand or an attacker would change them."""

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np

# What parsers have stumbled over: types like others, numbers out of range, texts that are too much.
HOSTILE: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    0.0,
    1.5,
    2**31,
    2**63,
    10**30,
    "",
    "0",
    "keys/..",
    "../../etc/passwd",
    "[" * 2000,
    "x" * 70_000,
    "AB" * 32,
    " " + "ab" * 32,
    "\x00\x1b[2J\u202e",
    "9" * 5000,
    [],
    {},
    [[]],
    [None],
    {"": None},
    {"template": "os.system"},
    {"template": 5, "settings": []},
)
PIECES = (
    b"[" * 5000,
    b'{"a":' * 500,
    b"9" * 5000,
    b"\xff\xfe",
    b"\x00",
    b"null",
    b"\n",
    b'"',
    b"}",
)


def of_bytes(rng: np.random.Generator, content: bytes) -> bytes:
    """The bytes after one to four changes: flipped, cut, doubled, moved, or with a piece put in."""
    found = bytearray(content)
    for _ in range(rng.integers(1, 5)):
        at, other = sorted(rng.integers(0, len(found) + 1, 2))
        match rng.integers(0, 6):
            case 0 if found:
                found[min(at, len(found) - 1)] ^= 1 << rng.integers(0, 8)
            case 1:
                del found[at:other]
            case 2:
                found[at:at] = found[at : min(other, at + 1000)]
            case 3:
                found[at:at] = PIECES[rng.integers(0, len(PIECES))]
            case 4:
                del found[at:]
            case _:
                found[at : at + 1] = rng.bytes(int(rng.integers(0, 5)))
    return bytes(found)


def of_value(rng: np.random.Generator, value: Any) -> Any:
    """A copy of a tree of mappings and lists, one to three places replaced, dropped or added."""
    found = copy.deepcopy(value)
    for _ in range(rng.integers(1, 4)):
        places = list(_places(found))
        if not places:
            return HOSTILE[rng.integers(0, len(HOSTILE))]
        node, key = places[rng.integers(0, len(places))]
        match rng.integers(0, 5):
            case 0:
                del node[key]
            case 1 if isinstance(node, dict):
                node["surplus"] = HOSTILE[rng.integers(0, len(HOSTILE))]
            case 2:
                other, there = places[rng.integers(0, len(places))]
                node[key] = copy.deepcopy(other[there])
            case _:
                node[key] = copy.deepcopy(HOSTILE[rng.integers(0, len(HOSTILE))])
    return found


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """(container, key) of every place in a tree."""
    keys = (
        value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    )
    for key in list(keys):
        yield value, key
        yield from _places(value[key])
