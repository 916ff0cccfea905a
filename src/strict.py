"""The doors for JSON, YAML, zip, hex and base64: what comes from outside is read or refused here.

Each door takes bytes that anybody may have written and gives plain values, or raises `WireError`
with a reason; it raises nothing else, whatever the bytes are. The caller knows whose bytes they are
and names file or sender. Values are then taken out of a mapping by `src.fields`.
"""

import base64
import io
import json
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import yaml

from src.errors import WireError
from src.text_file import utf8_text

MOST_JSON_BYTES = 64 << 20  # a ledger's or a log's line, a header, a member list: all are smaller
MOST_YAML_BYTES = 1 << 20
MOST_DEPTH = 32
MOST_WHOLE = 2**63 - 1
MOST_ENTRIES = 1000  # of a zip file
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")  # of a folder or file in a package


# -- JSON ------------------------------------------------------------------------------------------


def json_value(content: bytes | str, *, most_bytes: int = MOST_JSON_BYTES) -> Any:
    """The value that JSON text holds (RFC 8259), in UTF-8.

    WireError: no JSON, longer than `most_bytes`, nested deeper than MOST_DEPTH, a key twice in one
    object, a number that is not finite or has more digits than 64 bits hold, half a surrogate pair.
    """
    if len(content) > most_bytes:
        raise WireError(f"{len(content)} bytes of JSON, expected {most_bytes} at most.")
    try:
        text = content.decode() if isinstance(content, bytes) else content
        value = json.loads(
            text,
            object_pairs_hook=_unique,
            parse_constant=_not_finite,
            parse_int=_whole,
            parse_float=_finite,
        )
    except (ValueError, RecursionError) as error:  # a UnicodeDecodeError is a ValueError
        raise WireError(f"no JSON: {_short(error)}") from None
    for inner in _values(value):
        if isinstance(inner, str) and not _is_unicode(inner):
            raise WireError("no JSON: half of a surrogate pair in a text.")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return found


def _not_finite(word: str) -> float:
    raise ValueError(f"{word} is no number of JSON")


def _whole(digits: str) -> int:
    value = int(digits) if len(digits) < 21 else MOST_WHOLE + 1
    if not -MOST_WHOLE <= value <= MOST_WHOLE:
        raise ValueError("a whole number of more than 64 bits")
    return value


def _finite(digits: str) -> float:
    value = float(digits)
    if value in (float("inf"), float("-inf")):
        raise ValueError("a number beyond those of 64 bits")
    return value


def _values(value: Any) -> Iterator[Any]:
    """Every key and value inside, without recursion. WireError: nested too deeply."""
    stack = [(value, 0)]
    while stack:
        inner, depth = stack.pop()
        if depth > MOST_DEPTH:
            raise WireError(f"nested deeper than {MOST_DEPTH} levels.")
        yield inner
        if isinstance(inner, dict):
            stack.extend((key, depth) for key in inner)
            stack.extend((item, depth + 1) for item in inner.values())
        elif isinstance(inner, list):
            stack.extend((item, depth + 1) for item in inner)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


# -- YAML ------------------------------------------------------------------------------------------


class _Loader(yaml.SafeLoader):
    """Plain YAML: no aliases (a few lines of them unfold to gigabytes), no key twice."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        """A node that is written out, not named."""
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()
            raise yaml.MarkedYAMLError(
                problem="an alias (*name); write the value out", problem_mark=event.start_mark
            )
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        """A mapping, each of whose keys stands in it once."""
        seen: set[tuple[str, str]] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if (key.tag, key.value) in seen:
                    raise yaml.MarkedYAMLError(
                        problem=f"the key {key.value!r} stands twice", problem_mark=key.start_mark
                    )
                seen.add((key.tag, key.value))
        return super().construct_mapping(node, deep)


def yaml_value(content: bytes | str) -> Any:
    """The value that YAML text holds, plain types alone; None of an empty text.

    WireError: no UTF-8, no YAML, more than MOST_YAML_BYTES, nested too deeply, an alias, a key
    twice, a number with more digits than Python reads, a date that does not exist.
    """
    if len(content) > MOST_YAML_BYTES:
        raise WireError(f"{len(content)} bytes of YAML, expected {MOST_YAML_BYTES} at most.")
    try:
        text = utf8_text(content) if isinstance(content, bytes) else content
        value = yaml.load(text, _Loader)
    except (yaml.YAMLError, WireError) as error:
        raise WireError(f"no YAML: {error}") from None
    except (ValueError, RecursionError, TypeError, AttributeError) as error:
        # text that is no UTF-8; and what PyYAML 6 leaks for dates, numbers and keys that are none
        raise WireError(f"no YAML: {_short(error)}") from None
    for _ in _values(value):
        pass
    return value


# -- zip -------------------------------------------------------------------------------------------


def _as_they_are(names: Sequence[str]) -> Mapping[str, str]:
    return dict(zip(names, names, strict=True))


def zip_files(
    content: bytes,
    *,
    most_bytes: int,
    names: Callable[[Sequence[str]], Mapping[str, str]] = _as_they_are,
) -> dict[str, bytes]:
    """The files of a zip archive by name; folders are passed over.

    names: says of all names which are read, and under which name; others are passed over unread.
    WireError: no zip archive or a damaged one, more than `most_bytes` when unpacked (whatever its
    directory says), encrypted, packed in another way than stored or deflated, a name twice, or one
    that is no plain relative path of letters, digits and `_ . -`.
    """
    found: dict[str, bytes] = {}
    left = most_bytes
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = archive.infolist()
            if len(entries) > MOST_ENTRIES:
                raise WireError(f"{len(entries)} entries, expected {MOST_ENTRIES} at most.")
            files = [entry for entry in entries if not entry.is_dir()]
            read_as = names([entry.filename for entry in files])
            for entry in files:
                name = read_as.get(entry.filename)
                if name is None:
                    continue
                _check_entry(entry, name, found)
                with archive.open(entry) as file:
                    found[name] = file.read(left + 1)
                left -= len(found[name])
                if left < 0:
                    raise WireError(f"unpacks to more than {most_bytes} bytes.")
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
        raise WireError(f"no zip archive, or a damaged one: {_short(error)}") from None
    except (NotImplementedError, RuntimeError, ValueError) as error:  # methods, passwords, offsets
        raise WireError(f"no zip archive that is taken here: {_short(error)}") from None
    return found


def _check_entry(entry: zipfile.ZipInfo, name: str, found: Mapping[str, bytes]) -> None:
    if name in found:
        raise WireError(f"the name {name!r} stands twice.")
    parts = PurePosixPath(name).parts
    plain = "/".join(parts) == name and all(NAME.fullmatch(part) for part in parts)
    if not parts or not plain:
        raise WireError(f"the name {name!r} is no plain path.")
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise WireError(f"{entry.filename!r} is packed by method {entry.compress_type}.")


# -- hex and base64 --------------------------------------------------------------------------------


def hex_bytes(text: Any, length: int) -> bytes:
    """The bytes that canonical hex holds: lower case, exactly two digits a byte.

    WireError: anything else, though `bytes.fromhex` would take it (capitals, spaces), so that two
    texts are equal exactly when the bytes are.
    """
    if not isinstance(text, str) or not re.fullmatch(f"[0-9a-f]{{{2 * length}}}", text):
        raise WireError(f"expected {2 * length} digits 0-9 a-f, got {shown(text)}.")
    return bytes.fromhex(text)


def base64_bytes(text: str) -> bytes:
    """The bytes that canonical base64 holds (RFC 4648 s.4). WireError: it is none."""
    try:
        content = base64.b64decode(text, validate=True)
    except ValueError as error:
        raise WireError(f"no base64: {_short(error)}") from None
    if base64.b64encode(content).decode() != text:
        raise WireError("no canonical base64: its last bits are not zero.")
    return content


def shown(value: Any) -> str:
    """A value from outside, short and in ASCII, for a message."""
    text = ascii(value) if not isinstance(value, dict | list) else type(value).__name__
    return text if len(text) <= 60 else f"{text[:57]}..."


def _short(error: Exception) -> str:
    return f"{type(error).__name__}: {ascii(str(error))[1:-1][:200]}"
