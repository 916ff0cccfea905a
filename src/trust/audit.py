"""The audit log: append-only JSON lines, each holding the hash of the one before, signed by round.

Who can alter the file can cut off its end, or write all of it anew if he holds the party's key;
the other parties' logs then no longer agree with it (`cross_check`).
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from src.refused import Refused
from src.trust import envelope, fingerprint

KIND = "audit"
FILE = Path("logs/audit.jsonl")
START = "0" * 64  # what stands in the first line as the hash of the line before


class AuditLog:
    """party: whose log it is. clock: gives the time of a line. A torn last line is cut off."""

    def __init__(self, path: Path, party: str, clock: Callable[[], datetime]) -> None:
        self.path = path
        self.party = party
        self._clock = clock
        path.parent.mkdir(parents=True, exist_ok=True)

    def write(self, event: str, **details: Any) -> str:
        """Append one line, on disk when this returns; its hash."""
        with self.path.open("a+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # several threads, and verbs beside a running party
            number, previous = _tail(file)
            line = {
                "n": number,
                "time": self._clock().isoformat(timespec="milliseconds"),
                "party": self.party,
                "event": event,
                **details,
                "previous": previous,
            }
            data = json.dumps(line, sort_keys=True).encode() + b"\n"
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        return hashlib.sha256(data).hexdigest()

    def sign(self, key: RSAPrivateKey, certificate: x509.Certificate, **details: Any) -> None:
        """Append a line and the party's signature over its hash: over all that came before."""
        head = self.write("round ended", **details)
        signed = envelope.sign(KIND, {"party": self.party, "head": head}, key, certificate)
        self.write("signed", envelope=json.loads(signed))


def _tail(file) -> tuple[int, str]:
    """(number, hash of the last line) for the next line; a line torn by a crash is removed."""
    content = _last_bytes(file)
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        file.truncate(file.seek(0, os.SEEK_END) - (len(content) - whole))
        content = content[:whole]
    lines = content.splitlines(keepends=True)
    if not lines:
        return 0, START
    return json.loads(lines[-1])["n"] + 1, hashlib.sha256(lines[-1]).hexdigest()


def _last_bytes(file, block: int = 1 << 16) -> bytes:
    """The end of the file, from the beginning of its last whole line at the latest."""
    end = file.seek(0, os.SEEK_END)
    content = b""
    while end and content.count(b"\n") < 2:
        begin = max(0, end - block)
        file.seek(begin)
        content = file.read(end - begin) + content
        end = begin
    if end:
        content = content[content.index(b"\n") + 1 :]
    return content


def digest_of(blobs: Iterable[bytes]) -> str:
    """One digest for a message of several tensors: SHA-256 over the SHA-256 of each, in order."""
    return hashlib.sha256(b"".join(hashlib.sha256(blob).digest() for blob in blobs)).hexdigest()


def verify(path: Path, certificates: Iterable[x509.Certificate]) -> list[dict[str, Any]]:
    """The lines of a log whose chain and signatures hold.

    certificates: those with which the party may have signed. Refused: no log, or the first line
    that was altered, dropped or moved, or a signature that does not hold, named by its number.
    """
    known = {fingerprint.of_certificate(certificate): certificate for certificate in certificates}
    if not path.is_file():
        raise Refused(f"{path}: no such log. A party writes it from its first start on.")
    previous, lines = START, []
    for number, data in enumerate(path.read_bytes().splitlines(keepends=True)):
        place = f"{path}: line {number}"
        try:
            line = json.loads(data)
        except ValueError:
            raise Refused(f"{place} is not readable: it was altered or torn.") from None
        if line.get("n") != number or line.get("previous") != previous:
            raise Refused(
                f"{place} does not follow the line before it: one of the two was altered, or a "
                "line between them was dropped or moved."
            )
        if line["event"] == "signed":
            _check_signature(line, previous, known, place)
        previous = hashlib.sha256(data).hexdigest()
        lines.append(line)
    return lines


def _check_signature(line, head: str, known: dict[str, x509.Certificate], place: str) -> None:
    keyid = line["envelope"]["signatures"][0]["keyid"]
    if keyid not in known:
        raise Refused(f"{place}: signed with certificate {keyid[:16]}…, which is not this party's.")
    content = json.dumps(line["envelope"]).encode()
    signed = envelope.verify(KIND, content, known[keyid], name=place)
    if signed != {"party": line["party"], "head": head}:
        raise Refused(f"{place}: the signature is under another log.")


def unsigned(lines: list[dict[str, Any]]) -> int:
    """How many lines stand after the last signature, which only the chain protects."""
    signed = [line["n"] for line in lines if line["event"] == "signed"]
    return len(lines) - 1 - (signed[-1] if signed else -1)


def cross_check(
    aggregator: list[dict[str, Any]], site: list[dict[str, Any]], name: str
) -> list[str]:
    """Where the two logs tell different stories, in words; empty if they agree.

    A sender writes before it sends, a site also after its message was taken. So what arrived must
    have been sent, and what was taken must have arrived, whenever either of them crashed.
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
