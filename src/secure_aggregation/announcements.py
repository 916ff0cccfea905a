"""Announcements and rosters: who takes part in a round, each site under its own signature.

In every round a site signs one announcement for the next round. It holds a fresh public mask key
(Bonawitz et al. 2017 call this key advertisement) and the digest of all that the site has seen of
the run so far. The announcements of a round, as the aggregator collects them, are the next round's
roster. The aggregator can leave an announcement out; it cannot write one.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from src.errors import Refused, WireError
from src.fields import Fields
from src.secure_aggregation.bfv import MOST_SUMMANDS
from src.secure_aggregation.heads import LedgerHead

KIND = "mask-announcement/v1"
VOID = b"void"
KEY_BYTES = 32  # of a mask key, and of a digest


class Gate(Protocol):
    """What is needed of a party's gate; those of `src.trust.gate` provide it."""

    bundle: Any
    members: Any

    def sign(self, kind: str, statement: Any) -> bytes: ...
    def verify(self, kind: str, content: bytes, *, in_force: bool) -> tuple[Any, Any]: ...


@dataclass(frozen=True)
class Announcement:
    """A site's signed mask key for one round.

    text: the announcement as signed.
    site, certificate: the signer's name, and SHA-256 of its certificate.
    mask_key: the public X25519 key, in hex.
    transcript: the digest of what the site had seen when it signed, in hex.
    ledger: the head of the site's privacy ledger then; None in a plan that is not private.
    """

    text: str
    round: int
    site: str
    certificate: str
    mask_key: str
    transcript: str
    ledger: LedgerHead | None = None


def write(
    gate: Gate,
    site: str,
    round_number: int,
    key: X25519PrivateKey,
    transcript: bytes,
    ledger: LedgerHead | None = None,
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
    if ledger is not None:
        statement["ledger"] = asdict(ledger)
    return gate.sign(KIND, statement).decode()


def read(gate: Gate, text: str, round_number: int, *, in_force: bool = True) -> Announcement:
    """The announcement that a signed text holds.

    in_force: whether the signer must not be revoked now; announcements of past rounds stand.
    Refused: it is not for this round of this run and bundle, or not signed by the site that it
        names.
    """
    member, statement = gate.verify(KIND, text.encode(), in_force=in_force)
    try:
        told = Fields(statement)
        announcement = Announcement(
            text,
            told.whole("round"),
            told.text("site"),
            told.hex("certificate", KEY_BYTES),
            told.hex("mask_key", KEY_BYTES),
            told.hex("transcript", KEY_BYTES),
            LedgerHead.parse(statement.get("ledger")),
        )
        found = (told.text("run"), told.text("bundle"), announcement.round)
    except WireError as error:
        raise Refused(f"{member.name}'s announcement cannot be read: {error}") from None
    if found != (gate.members.run, gate.bundle.digest, round_number):
        raise Refused(
            f"{member.name}'s announcement is not for round {round_number} of this run and bundle."
        )
    if (announcement.site, announcement.certificate) != (member.name, member.sha256):
        raise Refused(
            f"{member.name} has signed an announcement in the name of {announcement.site}."
        )
    return announcement


@dataclass(frozen=True)
class Roster:
    """The announcements of one round, sorted by site."""

    round: int
    announcements: tuple[Announcement, ...]

    @property
    def sites(self) -> list[str]:
        """The sites' names."""
        return [announcement.site for announcement in self.announcements]

    @property
    def texts(self) -> list[str]:
        """The announcements as signed."""
        return [announcement.text for announcement in self.announcements]

    @property
    def mask_keys(self) -> dict[str, bytes]:
        """Public mask keys, by certificate."""
        return {r.certificate: bytes.fromhex(r.mask_key) for r in self.announcements}

    @property
    def transcript(self) -> bytes:
        """The digest of what all sites had seen when they signed."""
        return bytes.fromhex(self.announcements[0].transcript)

    @property
    def digest(self) -> bytes:
        """SHA-256 over the signed announcements, in the order of names."""
        return hashlib.sha256(json.dumps(self.texts).encode()).digest()

    def of(self, site: str) -> Announcement | None:
        """A site's announcement; None if the site is not in the roster."""
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
    """The roster that signed texts form, once each is verified.

    min_sites: the quorum.
    agreed: whether all must have seen the same. The aggregator cannot judge that.
    Refused: the quorum is missed, there are too many sites, a site or a key occurs twice, or sites
        have seen different things, because somebody has shown them different models or rosters.
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
            "sites have seen different rounds before. Stop, and call the other sites and the desk."
        )
    return Roster(round_number, announcements)


def revoked(gate: Gate, roster: Roster) -> tuple[str, ...]:
    """The sites of a verified roster whose certificates are revoked now."""
    found = []
    for announcement in roster.announcements:
        try:
            gate.verify(KIND, announcement.text.encode(), in_force=True)
        except Refused:
            found.append(announcement.site)
    return tuple(found)


def extend(transcript: bytes, roster: Roster, outcome: bytes) -> bytes:
    """The transcript after a round.

    outcome: the digest of the decrypted sum, or VOID.
    """
    return hashlib.sha256(b"transcript/v1" + transcript + roster.digest + outcome).digest()


def salt(transcript: bytes, roster: Roster) -> bytes:
    """The value that binds a round's masks and MACs to its roster and to the model trained from."""
    return hashlib.sha256(b"round/v1" + roster.digest + transcript).digest()
