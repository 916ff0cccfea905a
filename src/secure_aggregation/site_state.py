"""The site state: what a site must not forget of a run, or it would answer a round twice.

It is one file, mode 0600, written whole before anything that depends on it leaves the site. The
mask keys are not in it: they lie in memory (`mask_keys`), so that an older copy of this file brings
none of them back. A site that has lost the one or the other announces itself anew.
"""

import hashlib
import json
from dataclasses import dataclass, field, fields
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from src.errors import Damaged, Refused
from src.files import write_atomically
from src.secure_aggregation.mask_keys import MaskKeys

FILE = Path("local_state/rounds.json")
UPLOAD = Path("local_state/upload")  # the complete message of the round, as it is sent
OF_HERE = ("path", "keys")  # what is not in the file


@dataclass
class SiteState:
    """What a site remembers of a run.

    path: the file.
    keys: the private mask keys.
    run, bundle: what it belongs to.
    round: the highest that this site has opened, -1 before the first.
    transcript: of what the site had seen at that round's start, in hex.
    announcements: {round: {"mask_key": the public one in hex, "text": as signed}}.
    voids, changes: the rounds that were void, and those whose roster changed.
    upload: {"round", "salt", "sha256"} of UPLOAD; None before the first.
    failed: why nothing of this run is decrypted any more; "" if nothing has failed.
    """

    path: Path
    keys: MaskKeys
    run: str
    bundle: str
    round: int = -1
    transcript: str = ""
    announcements: dict[str, dict[str, str]] = field(default_factory=dict)
    voids: list[int] = field(default_factory=list)
    changes: list[int] = field(default_factory=list)
    upload: dict | None = None
    failed: str = ""

    @classmethod
    def read(cls, path: Path, keys: MaskKeys, run: str, bundle: str) -> "SiteState":
        """The state of this run; a new one if there is none, or only another run's.

        Damaged: the file cannot be read. Refused: this run's sum has failed verification here.
        """
        if not path.is_file():
            return cls(path, keys, run, bundle)
        try:
            found = cls(path, keys, **json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, TypeError) as error:
            raise Damaged(
                f"{path} is damaged ({error}). Restore it, or move it away: the site then "
                "announces itself anew and misses a round."
            ) from None
        if found.run != run or found.bundle != bundle:
            return cls(path, keys, run, bundle)
        found.check()
        return found

    def check(self) -> None:
        """Refused if a sum of this run has failed verification here."""
        if self.failed:
            raise Refused(f"{self.failed} This is final for the run (recorded in {self.path}).")

    def save(self) -> None:
        """Write the state whole, readable by its owner alone."""
        content = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in OF_HERE}
        write_atomically(self.path, json.dumps(content, indent=1), mode=0o600)

    def begin(self, round_number: int, transcript: bytes) -> None:
        """Note that a round has begun, and erase keys and bytes of the rounds before it."""
        self.round, self.transcript = round_number, transcript.hex()
        self.announcements = {
            r: kept for r, kept in self.announcements.items() if int(r) >= round_number
        }
        if self.upload and self.upload["round"] < round_number:
            self.upload = None
            self.path.with_name(UPLOAD.name).unlink(missing_ok=True)
        self.save()
        self.keys.keep_only({kept["mask_key"] for kept in self.announcements.values()})

    def keep(self, message: bytes, round_number: int, salt: bytes) -> None:
        """Put the round's whole upload on disk, and then that it is there."""
        write_atomically(self.path.with_name(UPLOAD.name), message, mode=0o600)
        sha256 = hashlib.sha256(message).hexdigest()
        self.upload = {"round": round_number, "salt": salt.hex(), "sha256": sha256}
        self.save()

    def kept(self, upload: dict) -> bytes:
        """The upload that is on disk. Damaged: it is not as it was kept."""
        path = self.path.with_name(UPLOAD.name)
        message = path.read_bytes()
        if hashlib.sha256(message).hexdigest() != upload["sha256"]:
            raise Damaged(f"{path} was altered. This site sends nothing of it.")
        return message

    def fail(self, reason: str) -> None:
        """Note a failed verification. Nothing of this run is decrypted here any more."""
        self.failed = reason
        self.save()

    def announce(self, round_number: int, mask_key: str, text: str) -> None:
        """Note what this site has signed for a round, before it is sent."""
        self.announcements[str(round_number)] = {"mask_key": mask_key, "text": text}
        self.save()

    def announcement(self, round_number: int) -> str:
        """The text that this site has signed for a round; "" if it has none or lost its key."""
        kept = self.announcements.get(str(round_number))
        return kept["text"] if kept and self.keys.holds(kept["mask_key"]) else ""

    def take_mask_key(self, round_number: int) -> X25519PrivateKey | None:
        """The private key of that announcement, once; None: it is gone."""
        kept = self.announcements.get(str(round_number))
        return self.keys.take(kept["mask_key"]) if kept else None
