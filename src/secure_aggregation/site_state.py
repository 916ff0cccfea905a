"""The site state: what must survive a power cut so that no mask is ever used twice.

It is one file, mode 0600, written whole before anything that depends on it leaves the site. A site
that loses it loses its mask keys, and announces itself anew.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from src.errors import Damaged, Refused
from src.files import write_atomically

FILE = Path("local_state/rounds.json")
UPLOAD = Path("local_state/upload")  # the complete message of the round, as it is sent


@dataclass
class SiteState:
    """What a site remembers of a run.

    path: the file.
    run, bundle: what it belongs to.
    round: the highest that this site has opened, -1 before the first.
    transcript: of what the site had seen at that round's start, in hex.
    announcements: {round: {"key": private mask key in hex, "text": as signed}}.
    voids, changes: the rounds that were void, and those whose roster changed.
    upload: {"round", "salt", "sha256"} of UPLOAD; None before the first.
    failed: why nothing of this run is decrypted any more; "" if nothing has failed.
    """

    path: Path
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
    def read(cls, path: Path, run: str, bundle: str) -> "SiteState":
        """The state of this run; a new one if there is none, or only another run's.

        Damaged: the file cannot be read. Refused: this run's sum has failed verification here.
        """
        if not path.is_file():
            return cls(path, run, bundle)
        try:
            found = cls(path, **json.loads(path.read_text()))
        except (ValueError, TypeError) as error:
            raise Damaged(
                f"{path} is damaged ({error}). Restore it, or move it away: the site then "
                "announces itself anew and misses a round."
            ) from None
        if found.run != run or found.bundle != bundle:
            return cls(path, run, bundle)
        found.check()
        return found

    def check(self) -> None:
        """Refused if a sum of this run has failed verification here."""
        if self.failed:
            raise Refused(f"{self.failed} This is final for the run (recorded in {self.path}).")

    def save(self) -> None:
        """Write the state whole, readable by its owner alone."""
        content = {key: value for key, value in asdict(self).items() if key != "path"}
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

    def new_announcement(self, round_number: int) -> X25519PrivateKey:
        """Make a fresh mask key for one round; it is not yet saved."""
        key = X25519PrivateKey.generate()
        self.announcements[str(round_number)] = {"key": key.private_bytes_raw().hex(), "text": ""}
        return key

    def announcement(self, round_number: int) -> str:
        """The text that this site has signed for a round; "" if it has none or lost its key."""
        return self.announcements.get(str(round_number), {}).get("text", "")

    def mask_key(self, round_number: int) -> X25519PrivateKey:
        """The private key of that announcement."""
        kept = self.announcements[str(round_number)]["key"]
        return X25519PrivateKey.from_private_bytes(bytes.fromhex(kept))
