"""Private mask keys: they are kept in memory alone, where no backup of a disk reaches.

A mask hides one update, once. A disk can be set back to a moment before that update was sent, and
then nothing on it tells that it was. So the key lies in a folder of a filesystem in memory, and is
taken out of it for the one update. It survives the site's process (kill -9), but no restart of the
machine; a site without it announces itself anew and misses one round.
"""

import hashlib
import os
import shutil
import stat
from collections.abc import Collection
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from src.errors import Damaged, Refused
from src.files import write_secret

VARIABLE = "GLIOMA_MEMORY"
DEFAULT = Path("/dev/shm")
IN_MEMORY = ("tmpfs", "ramfs")
MOUNTS = Path("/proc/self/mountinfo")


def memory_folder() -> Path:
    """A folder in memory: $GLIOMA_MEMORY, else $XDG_RUNTIME_DIR or /dev/shm, whichever is one.

    Refused: none of them is; or the first was named, and is not.
    """
    named = os.environ.get(VARIABLE)
    usual = [Path(os.environ[name]) for name in ("XDG_RUNTIME_DIR",) if os.environ.get(name)]
    looked_at = [Path(named)] if named else [*usual, DEFAULT]
    for folder in looked_at:
        if filesystem(folder) in IN_MEMORY and os.access(folder, os.W_OK | os.X_OK):
            return folder
    told = ", ".join(f"{folder} ({filesystem(folder) or 'no folder'})" for folder in looked_at)
    raise Refused(
        "Mask keys are kept in memory, so that no backup can bring one back; expected a folder on "
        f"{' or '.join(IN_MEMORY)} that this user can write to, found {told}. Set {VARIABLE} to "
        "one, e.g. to a folder below /run that belongs to this user."
    )


def filesystem(folder: Path) -> str:
    """The type of the filesystem that a folder lies on, as the kernel tells it; "": unknown."""
    if not folder.is_dir():
        return ""
    device = folder.stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    for line in MOUNTS.read_text(encoding="utf-8", errors="surrogateescape").splitlines():
        mount, _, kind = line.partition(" - ")
        if mount.split()[2] == number:
            return kind.split()[0]
    return ""


class MaskKeys:
    """The mask keys of one site, workspace and run. A key is known by its public half, in hex."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def of(cls, workspace: Path, site: str, run: str) -> "MaskKeys":
        """Those of a run in a workspace; a copy of the workspace elsewhere has others.

        Refused: see `memory_folder`. Damaged: this user's folder there is open to others.
        """
        own = memory_folder() / f"glioma-federation-{os.geteuid()}"
        own.mkdir(mode=0o700, exist_ok=True)
        found = own.lstat()  # anyone may make a folder of this name in /dev/shm, or a link
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
            raise Damaged(
                f"{own}: expected a folder of this user's own, mode 0700; it is another's, or open "
                "to others. Remove it: mask keys in it are lost, and the site misses a round."
            )
        place = _digest(site, str(workspace.resolve()))
        return cls(own / place / _digest(run))

    def new(self) -> X25519PrivateKey:
        """Make a key. Those of other runs in this workspace are erased."""
        key = X25519PrivateKey.generate()
        if not self.folder.is_dir():
            self.forget()
        write_secret(self._path(public_half(key)), key.private_bytes_raw())
        return key

    def holds(self, public: str) -> bool:
        """Whether the key is still here."""
        return self._path(public).is_file()

    def take(self, public: str) -> X25519PrivateKey | None:
        """The key, which is gone from here with this call; None: it is gone already."""
        taken = self.folder / f"taken-{os.getpid()}"
        try:
            self._path(public).rename(taken)  # of two processes only one gets it
        except FileNotFoundError:
            return None
        private = taken.read_bytes()
        taken.unlink()
        return X25519PrivateKey.from_private_bytes(private)

    def keep_only(self, public: Collection[str]) -> None:
        """Erase all other keys."""
        for path in self.folder.glob("*"):
            if path.name not in public:
                path.unlink(missing_ok=True)

    def forget(self) -> None:
        """Erase all of them, also those of other runs in this workspace."""
        shutil.rmtree(self.folder.parent, ignore_errors=True)

    def _path(self, public: str) -> Path:
        return self.folder / public


def public_half(key: X25519PrivateKey) -> str:
    """The public half of a mask key, in hex."""
    return key.public_key().public_bytes_raw().hex()


def _digest(*words: str) -> str:
    return hashlib.sha256("\0".join(words).encode()).hexdigest()[:32]
