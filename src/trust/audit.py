"""The audit log: append-only JSON lines, chained by hash, and signed at the end of each round.

Anyone who can write to the file can truncate it, and anyone who holds the party's key can write it
anew. In both cases it no longer agrees with the other parties' logs (`cross_check`).
"""

import hashlib
import json
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from src import hash_chain
from src.errors import Damaged, Refused, WireError
from src.fields import check_form
from src.secure_aggregation.heads import SHOWN
from src.trust import fingerprint, signed_statement

KIND = "audit"
MESSAGE = {"site": "text", "round": "whole", "what": "text", "digest": "text"}
FORMS = {  # what a line of an event has, where somebody reads it again
    "sending": MESSAGE,
    "sent": MESSAGE,
    "received": MESSAGE,
    "sealed": {"site": "text", "round": "whole"},
    "mask reused": {"site": "text", "round": "whole", "reason": "text"},
    "privacy booked": {"ledger": "text", "head": "text", "run": "text", "round": "whole"},
    SHOWN: {"site": "text", "run": "text", "round": "whole", "count": "whole", "sha256": "text"},
    "signed": {"envelope": "fields"},
}
FILE = Path("logs/audit.jsonl")


class AuditLog:
    """One party's log. A last line that a crash has torn is cut off when the log is opened.

    party: the name of the party whose log it is.
    clock: gives the time that stands in a line.
    """

    def __init__(self, path: Path, party: str, clock: Callable[[], datetime]) -> None:
        self.path = path
        self.party = party
        self._clock = clock
        self._chain = hash_chain.HashChain(path)

    def write(self, event: str, **details: Any) -> str:
        """Append one line, which is on disk when this returns; return its hash."""
        return self._chain.append_made(lambda *_: self._line(event, details))

    def _line(self, event: str, details: dict[str, Any]) -> dict[str, Any]:
        time = self._clock().isoformat(timespec="milliseconds")
        return {"time": time, "party": self.party, "event": event, **details}

    def sign(self, key: RSAPrivateKey, certificate: x509.Certificate, **details: Any) -> None:
        """Append a line and the party's signature over its hash, and so over all lines before.

        The two follow each other, whatever other threads and processes write.
        """
        with self._chain.together() as append:
            head = append(lambda *_: self._line("round ended", details))
            statement = {"party": self.party, "head": head}
            signed = signed_statement.sign(KIND, statement, key, certificate)
            append(lambda *_: self._line("signed", {"envelope": json.loads(signed)}))


def digest_of(blobs: Iterable[bytes]) -> str:
    """The digest of a message of several tensors: SHA-256 over the SHA-256 of each, in order."""
    return hashlib.sha256(b"".join(hashlib.sha256(blob).digest() for blob in blobs)).hexdigest()


def verify(path: Path, certificates: Iterable[x509.Certificate]) -> list[dict[str, Any]]:
    """The lines of a log whose chain and signatures hold.

    certificates: those with which the party may have signed.
    Damaged: there is no log, a line was altered, dropped or moved, or a signature does not hold.
        The message gives the number of the first such line.
    """
    known = {fingerprint.of_certificate(certificate): certificate for certificate in certificates}
    if not path.is_file():
        raise Damaged(f"{path}: no such log. A party writes it from its first start on.")
    lines = hash_chain.read(path)
    for line in lines:
        _check_form(line, f"{path}: line {line['n']}")
        if line["event"] == "signed":
            _check_signature(line, line["previous"], known, f"{path}: line {line['n']}")
    return lines


def _check_form(line: hash_chain.Entry, place: str) -> None:
    """Damaged: a value is missing, or not of the type, that a line of this event has."""
    try:
        check_form(line, {"time": "text", "party": "text", "event": "text"})
        check_form(line, FORMS.get(line["event"], {}))
    except WireError as error:
        raise Damaged(f"{place} is no line of an audit log: {error}") from None


def _check_signature(line, head: str, known: dict[str, x509.Certificate], place: str) -> None:
    content = json.dumps(line["envelope"]).encode()
    try:
        keyid = signed_statement.signer(content)
        if keyid not in known:
            raise Damaged(
                f"{place}: signed with certificate {keyid[:16]}…, which is not this party's."
            )
        signed = signed_statement.verify(KIND, content, known[keyid], name=place)
    except Refused as refusal:
        raise Damaged(str(refusal)) from refusal
    if signed != {"party": line["party"], "head": head}:
        raise Damaged(f"{place}: the signature is under another log.")


def unsigned(lines: list[dict[str, Any]]) -> int:
    """How many lines stand after the last signature, and so are protected by the chain alone."""
    signed = [line["n"] for line in lines if line["event"] == "signed"]
    return len(lines) - 1 - (signed[-1] if signed else -1)


def cross_check(
    aggregator: list[dict[str, Any]], site: list[dict[str, Any]], name: str
) -> list[str]:
    """Where the aggregator's and a site's log contradict each other, in words; empty if they agree.

    A sender logs before it sends, and a site logs again once its message was taken. So what arrived
    must have been sent, and what was taken must have arrived, whenever either of them crashed.
    """
    claims = (
        (aggregator, "received", site, "sending", f"the aggregator received from {name}"),
        (site, "sent", aggregator, "received", f"{name} sent to the aggregator"),
        (site, "received", aggregator, "sending", f"{name} received from the aggregator"),
    )
    return [
        f"{words} {what} of round {number} ({digest[:16]}…); the other log does not hold it"
        for one, event, other, counterpart, words in claims
        for number, what, digest in sorted(
            _messages(one, event, name) - _messages(other, counterpart, name)
        )
    ]


def _messages(lines: list[dict[str, Any]], event: str, site: str) -> set[tuple[int, str, str]]:
    return {
        (line["round"], line["what"], line["digest"])
        for line in lines
        if line["event"] == event and line["site"] == site
    }
