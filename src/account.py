"""What libraries ask of the account that a process runs under: a name, a home, room for caches.

A container's user often has no entry in /etc/passwd, no HOME, and a root that is read-only. Then
`getpass.getuser` and `Path.home` raise wherever a library happens to call them (MONAI: when a site
cuts its first patch). So they are answered first, in the environment, where both look before they
ask the system.
"""

import os
import pwd
import tempfile
from collections.abc import MutableMapping
from pathlib import Path

NAMES = ("LOGNAME", "USER", "LNAME", "USERNAME")  # in the order in which `getpass` looks
NOWHERE = "/nonexistent"  # Debian's word for no home: nothing that must last is kept below it
USUAL_TEMPORARY = ("/tmp", "/var/tmp", "/usr/tmp")
CACHES = {
    "XDG_CACHE_HOME": "cache",
    "MPLCONFIGDIR": "matplotlib",
    "TORCHINDUCTOR_CACHE_DIR": "inductor",
    "TRITON_CACHE_DIR": "triton",
    "NUMBA_CACHE_DIR": "numba",
    "CUDA_CACHE_PATH": "cuda",
}


def complete(environment: MutableMapping[str, str] = os.environ) -> None:
    """Add to the environment what this account lacks; what is set stays.

    A name, if there is none; NOWHERE as home; and where the home cannot be written to, folders for
    the caches of libraries, below the temporary folder.
    """
    entry = _entry()
    if entry is None and not any(environment.get(name) for name in NAMES):
        environment["USER"] = environment["LOGNAME"] = f"uid{os.getuid()}"
    if entry is None:
        environment.setdefault("HOME", NOWHERE)
    home = environment.get("HOME") or (entry.pw_dir if entry else NOWHERE)
    if not _writable(Path(home)) and (room := _room()):
        for variable, folder in CACHES.items():
            environment.setdefault(variable, str(room / folder))


def home() -> Path | None:
    """This account's home; None: it has none, so nothing can be kept in it."""
    complete()
    return None if (found := Path.home()) == Path(NOWHERE) else found


def temporary_folder() -> Path | None:
    """The folder for temporary files; None: none can be written to.

    (Python then takes the folder it was started in. Here that is the kit's or a workspace, where
    nothing of the kind may lie.)
    """
    try:
        found = Path(tempfile.gettempdir())
    except FileNotFoundError:
        return None
    usual = {*USUAL_TEMPORARY, *map(os.environ.get, ("TMPDIR", "TEMP", "TMP"))}
    return None if found == Path.cwd() and str(found) not in usual else found


def _entry() -> pwd.struct_passwd | None:
    try:
        return pwd.getpwuid(os.getuid())
    except KeyError:
        return None


def _writable(folder: Path) -> bool:
    return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)


def _room() -> Path | None:
    """A folder of this user's own for caches, some of which hold code; None: there is no room."""
    if (temporary := temporary_folder()) is None:
        return None
    try:
        room = temporary / f"glioma-federation-{os.geteuid()}"
        room.mkdir(mode=0o700, exist_ok=True)
        found = room.lstat()  # anyone may make a folder of this name in /tmp, or a link
        if found.st_uid == os.geteuid() and found.st_mode & 0o170777 == 0o040700:
            return room
        return Path(tempfile.mkdtemp(prefix="glioma-federation-"))
    except OSError:
        return None
