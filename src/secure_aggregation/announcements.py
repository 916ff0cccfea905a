"""Announcements and rosters: who takes part in a round, each signed by the site itself.

In every round a site signs one announcement for the next: a fresh public mask key, and the digest
of all
that it has seen of the run so far. The announcements of a round, as the aggregator collects them,
are the next round's roster. The aggregator can leave an announcement out; it cannot write one.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from src.errors import Refused
from src.secure_aggregation.bfv import MOST_SUMMANDS

KIND = "mask-announcement/v1"
VOID = b"void"


class Gate(Protocol):
    """What is needed of a party's gate; those of `src.trust.gate` are ones."""

    bundle: Any
    members: Any

    def sign(self, kind: str, statement: Any) -> bytes: ...
    def verify(self, kind: str, content: bytes, *, in_force: bool) -> tuple[Any, Any]: ...


@dataclass(frozen=True)
class Announcement:
    """text: as signed. site, certificate (SHA-256), mask_key (X25519, hex), transcript (hex)."""

    text: str
    round: int
    site: str
    certificate: str
    mask_key: str
    transcript: str


def write(
    gate: Gate, site: str, round_number: int, key: X25519PrivateKey, transcript: bytes
) -> str:
    """This site's signed announcement for one round."""
    statement = {
        "run": gate.members.run,
        "bundle": gate.bundle.digest,
        "round": round_number,
        "site": site,
        "certificate": gate.members.site(site).sha256,
        "mask_key": key.public_key().public_bytes_raw().hex(),
        "transcript": transcript.hex(),
    }
    return gate.sign(KIND, statement).decode()


def read(gate: Gate, text: str, round_number: int, *, in_force: bool = True) -> Announcement:
    """An announcement, verified. in_force: its signer must not be revoked now; past rounds stand.

    Refused: not an announcement for this round of this run and bundle, signed by the site it names.
    """
    member, statement = gate.verify(KIND, text.encode(), in_force=in_force)
    try:
        announcement = Announcement(
            text,
            statement["round"],
            statement["site"],
            statement["certificate"],
            statement["mask_key"],
            statement["transcript"],
        )
        lengths = {
            len(bytes.fromhex(announcement.mask_key)),
            len(bytes.fromhex(announcement.transcript)),
        }
        found = (statement["run"], statement["bundle"], announcement.round)
    except (ValueError, KeyError, TypeError) as error:
        raise Refused(f"{member.name}'s announcement cannot be read: {error!r}.") from None
    if found != (gate.members.run, gate.bundle.digest, round_number):
        raise Refused(
            f"{member.name}'s announcement is not for round {round_number} of this run and bundle."
        )
    if (announcement.site, announcement.certificate) != (member.name, member.sha256):
        raise Refused(
            f"{member.name} has signed an announcement in the name of {announcement.site}."
        )
    if lengths != {32}:
        raise Refused(
            f"{member.name}'s announcement for round {round_number} holds no key or digest."
        )
    return announcement


@dataclass(frozen=True)
class Roster:
    """The announcements of one round, sorted by site."""

    round: int
    announcements: tuple[Announcement, ...]

    @property
    def sites(self) -> list[str]:
        """Names."""
        return [announcement.site for announcement in self.announcements]

    @property
    def texts(self) -> list[str]:
        """The announcements as signed."""
        return [announcement.text for announcement in self.announcements]

    @property
    def mask_keys(self) -> dict[str, bytes]:
        """Public mask keys by certificate."""
        return {r.certificate: bytes.fromhex(r.mask_key) for r in self.announcements}

    @property
    def transcript(self) -> bytes:
        """What all of them had seen when they announced."""
        return bytes.fromhex(self.announcements[0].transcript)

    @property
    def digest(self) -> bytes:
        """SHA-256 over the signed announcements, in the order of names."""
        return hashlib.sha256(json.dumps(self.texts).encode()).digest()

    def of(self, site: str) -> Announcement | None:
        """That site's announcement; None: it is not in."""
        return next(
            (announcement for announcement in self.announcements if announcement.site == site), None
        )


def roster(
    gate: Gate,
    texts: Iterable[str],
    round_number: int,
    min_sites: int,
    *,
    in_force: bool = True,
    agreed: bool = True,
) -> Roster:
    """A roster, verified. agreed: all must have seen the same (the aggregator cannot tell).

    Refused: too few or too many sites, a site or a key twice, or sites that have seen different
    things: then somebody has shown them different models or rosters.
    """
    found = [read(gate, text, round_number, in_force=in_force) for text in texts]
    announcements = tuple(sorted(found, key=lambda announcement: announcement.site))
    if not min_sites <= len(announcements) <= MOST_SUMMANDS:
        raise Refused(
            f"The roster of round {round_number} has {len(announcements)} sites, allowed are "
            f"{min_sites} "
            f"to {MOST_SUMMANDS} (compression_pipeline.min_sites)."
        )
    for what in ("site", "mask_key"):
        if len({getattr(announcement, what) for announcement in announcements}) < len(
            announcements
        ):
            raise Refused(f"The roster of round {round_number} has the same {what} twice.")
    if agreed and len({announcement.transcript for announcement in announcements}) > 1:
        raise Refused(
            f"The federation has been split: in their announcements for round {round_number} the "
            f"sites "
            "have seen different rounds before. Stop, and call the other sites and the desk."
        )
    return Roster(round_number, announcements)


def extend(transcript: bytes, roster: Roster, outcome: bytes) -> bytes:
    """The digest after a round. outcome: digest of the decrypted sum, or VOID."""
    return hashlib.sha256(b"transcript/v1" + transcript + roster.digest + outcome).digest()


def salt(transcript: bytes, roster: Roster) -> bytes:
    """What masks and macs of a round are bound to: its roster and the model trained from."""
    return hashlib.sha256(b"round/v1" + roster.digest + transcript).digest()
