"""Sealed messages: a header in JSON, then records of bounded length. Nothing is decompressed."""

import json
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Any

MAGIC = b"GFS1"
MOST_HEADER = 1 << 20


class WireError(ValueError):
    """Bytes that are no message of ours."""


def pack(header: dict[str, Any], records: Iterable[bytes] = ()) -> bytes:
    """The message."""
    text = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
    parts = [MAGIC, struct.pack("<I", len(text)), text]
    for record in records:
        parts += [struct.pack("<I", len(record)), record]
    return b"".join(parts)


def is_sealed(message: bytes) -> bool:
    """Whether these bytes begin like one."""
    return message[:4] == MAGIC


def header(message: bytes) -> dict[str, Any]:
    """The header alone. WireError: damaged."""
    return _header(message)[0]


def header_of(path: Path) -> dict[str, Any]:
    """The header of a message in a file, without reading the rest. WireError: damaged."""
    with path.open("rb") as file:
        start = file.read(8)
        (length,) = struct.unpack("<I", start[4:]) if len(start) == 8 else (0,)
        return header(start + file.read(min(length, MOST_HEADER)))


def _header(message: bytes) -> tuple[dict[str, Any], int]:
    if not is_sealed(message) or len(message) < 8:
        raise WireError(f"expected a sealed message ({MAGIC!r}), got {bytes(message[:4])!r}.")
    (length,) = struct.unpack_from("<I", message, 4)
    if length > min(MOST_HEADER, len(message) - 8):
        raise WireError(f"a header of {length} bytes in a message of {len(message)}.")
    try:
        found = json.loads(message[8 : 8 + length])
    except (ValueError, RecursionError) as error:
        raise WireError(f"the header is no JSON: {error}") from None
    if not isinstance(found, dict):
        raise WireError("the header is no mapping.")
    return found, 8 + length


def records(message: bytes, *, count: int, most_bytes: int) -> list[bytes]:
    """The records. WireError: not exactly `count`, one longer than `most_bytes`, or a rest."""
    _, place = _header(message)
    found = []
    for number in range(count):
        if place + 4 > len(message):
            raise WireError(f"ends after {number} of {count} records.")
        (length,) = struct.unpack_from("<I", message, place)
        place += 4
        if length > most_bytes or place + length > len(message):
            raise WireError(f"record {number} claims {length} bytes.")
        found.append(message[place : place + length])
        place += length
    if place != len(message):
        raise WireError(f"{len(message) - place} bytes after the last of {count} records.")
    return found
