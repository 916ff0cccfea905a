"""Lines of a chain that hold the site's signature over themselves, and so over all lines before."""

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any, Protocol

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from src import hash_chain
from src.hash_chain import Entry, HashChain

KIND = "privacy-ledger/v1"


class Gate(Protocol):
    """What the ledger needs of a site's gate; `src.trust.gate.SiteGate` provides it."""

    @property
    def certificate(self) -> x509.Certificate: ...
    @property
    def now(self) -> Callable[[], datetime]: ...

    def sign(self, kind: str, statement: Any) -> bytes: ...
    def log(self, event: str, **details: object) -> None: ...


def append_signed(chain: HashChain, gate: Gate, event: str, **content: Any) -> tuple[int, str]:
    """Append a line with the site's signature; return its number and its hash."""
    time = gate.now().isoformat(timespec="seconds")
    numbers: list[int] = []

    def signed(number: int, previous: str) -> Entry:
        numbers.append(number)
        line = {"event": event, "time": time, **content, "n": number, "previous": previous}
        envelope = gate.sign(KIND, {"line": hash_chain.digest(line)})
        return {**line, "envelope": json.loads(envelope)}

    sha256 = chain.append_made(signed)
    return numbers[-1], sha256


def signed_digest(line: Entry) -> str:
    """The digest that a line's signature covers: the line's without the signature."""
    return hash_chain.digest({key: value for key, value in line.items() if key != "envelope"})


def pem(gate: Gate) -> str:
    """The certificate that signs, as text."""
    return gate.certificate.public_bytes(Encoding.PEM).decode()
