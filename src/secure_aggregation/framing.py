"""Messages with ciphertexts: a header in JSON, then records of bounded length, never compressed.

The header holds the records' SHA-256, so that bytes damaged on a disk are told from a changed sum,
whose discovery ends a run for good. This is no defence: anyone who changes the records can change
the digest too.
"""

import hashlib
import json
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from src.errors import WireError
from src.strict import json_value

MAGIC = b"GFS1"
MOST_HEADER_BYTES = 1 << 20


def pack(header: dict[str, Any], records: Iterable[bytes | memoryview] = ()) -> bytes:
    """The message that holds these records. The header gains the key `records`, their digest."""
    framed = [part for r in records for part in (struct.pack("<I", len(r)), r)]
    digest = hashlib.sha256()
    for part in framed:
        digest.update(part)
    header = header | {"records": digest.hexdigest()}
    text = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
    return b"".join((MAGIC, struct.pack("<I", len(text)), text, *framed))


def is_sealed(message: bytes) -> bool:
    """Whether the bytes begin like such a message."""
    return message[:4] == MAGIC


def header(message: bytes) -> dict[str, Any]:
    """The message's header alone. WireError: it is damaged."""
    return _header(message)[0]


def header_of(path: Path) -> dict[str, Any]:
    """The header of a message in a file, without reading the rest. WireError: it is damaged."""
    with path.open("rb") as file:
        start = file.read(8)
        (length,) = struct.unpack("<I", start[4:]) if len(start) == 8 else (0,)
        return header(start + file.read(min(length, MOST_HEADER_BYTES)))


def _header(message: bytes) -> tuple[dict[str, Any], int]:
    """(the header, where the records begin)."""
    if not is_sealed(message) or len(message) < 8:
        raise WireError(f"expected a sealed message ({MAGIC!r}), got {bytes(message[:4])!r}.")
    (length,) = struct.unpack_from("<I", message, 4)
    if length > min(MOST_HEADER_BYTES, len(message) - 8):
        raise WireError(f"a header of {length} bytes in a message of {len(message)}.")
    try:
        found = json_value(message[8 : 8 + length])
    except WireError as error:
        raise WireError(f"the header is {error}") from None
    if not isinstance(found, dict):
        raise WireError("the header is no mapping.")
    return found, 8 + length


def records(message: bytes, *, count: int, most_bytes: int) -> list[memoryview]:
    """The records, not copied.

    WireError: the message is damaged, does not hold `count` records, or one is longer than
        `most_bytes`.
    """
    found_header, place = _header(message)
    whole = memoryview(message)
    digest = hashlib.sha256(whole[place:]).hexdigest()
    found = []
    for number in range(count):
        if place + 4 > len(message):
            raise WireError(f"ends after {number} of {count} records.")
        (length,) = struct.unpack_from("<I", message, place)
        place += 4
        if length > most_bytes or place + length > len(message):
            raise WireError(f"record {number} claims {length} bytes.")
        found.append(whole[place : place + length])
        place += length
    if place != len(message):
        raise WireError(f"{len(message) - place} bytes after the last of {count} records.")
    if digest != found_header.get("records"):
        raise WireError("its bytes were damaged on the way, or on a disk.")
    return found
