"""A rule about the account: its name, home and temporary folder, and whose the workspace is."""

import getpass
import os
import tempfile
from collections.abc import Iterator

from src import account as accounts
from src import disk
from src.preflight.finding import Examination, State

TRIED_BYTES = 1 << 20


def account(examination: Examination) -> Iterator[tuple[State, str]]:
    """Whether libraries get the answers that they ask of an account, as in a container."""
    accounts.complete()
    name, home = getpass.getuser(), accounts.home()
    temporary = accounts.temporary_folder()
    if temporary is None:
        yield (
            "fail",
            "no folder for temporary files can be written to. Set TMPDIR to one; in a container: "
            "tmpfs: [/tmp].",
        )
        return
    try:
        with tempfile.TemporaryFile(dir=temporary) as file:
            file.write(bytes(TRIED_BYTES))
            file.flush()
    except OSError as error:
        yield "fail", f"temporary files: {disk.told(error, temporary)} Or set TMPDIR to another."
        return
    if (owner := examination.workspace.stat().st_uid) != os.geteuid():
        yield (
            "warn",
            f"the workspace belongs to uid {owner}, this is {name} (uid {os.geteuid()}). What one "
            "user makes the other may not read: examine and start as the same user.",
        )
    yield "ok", f"{name}, {f'home {home}' if home else 'no home'}, temporary files in {temporary}"
