"""An approval is a site's signature over exactly one bundle, made by its engineer.

`show` prints what would run; the engineer compares, signs with the site's key, and from then on the
site starts nothing else. The aggregator asks every site for its approval and compares it with its
own bundle.
"""

import difflib
import shutil
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from src.errors import Refused
from src.files import write_atomically
from src.trust import bundle as bundles
from src.trust import compiled, signed_statement
from src.trust.bundle import Bundle
from src.trust.members import Member

KIND = "approval"
FOLDER = Path("approvals")
FILE = FOLDER / "approval.json"
APPROVED = FOLDER / "approved"  # what was approved last: its manifest and its texts, to compare
TEXT_BYTES = 1_000_000
MOST_NAMED = 8


def approve(
    workspace: Path, bundle: Bundle, run: str, member: Member, key: RSAPrivateKey, now: datetime
) -> Path:
    """Sign the bundle, keep its texts for the next comparison, and return the approval's file.

    Compiled copies of the code are removed, so that whatever runs is compiled from what was
    approved.
    """
    compiled.remove(workspace)
    statement = {
        "site": member.name,
        "run": run,
        "bundle": bundle.digest,
        "approved": now.isoformat(timespec="seconds"),
    }
    kept = workspace / APPROVED
    shutil.rmtree(kept, ignore_errors=True)
    for path in _texts(workspace, bundle):
        write_atomically(kept / path, (workspace / path).read_bytes())
    write_atomically(kept / "manifest", bundle.manifest())
    signed = signed_statement.sign(KIND, statement, key, member.certificate)
    write_atomically(workspace / FILE, signed)
    return workspace / FILE


def verify(content: bytes, member: Member, run: str, digest: str, *, name: str) -> dict[str, Any]:
    """The approval's content, if this member has signed the bundle `digest` of this run.

    name: what messages call the approval.
    Refused: there is no approval, it is another member's, it belongs to another run or bundle (an
        old approval, replayed), or it was altered.
    """
    found = signed_statement.verify(KIND, content, member.certificate, name=name)
    for what, expected in (("site", member.name), ("run", run), ("bundle", digest)):
        if found.get(what) != expected:
            raise Refused(
                f"{name} is for {what} {found.get(what)}, expected {expected}. Look at what would "
                f"run, then sign it: python -m src show && python -m src approve -n {member.name}"
            )
    return found


def last_approved(workspace: Path) -> Bundle | None:
    """The bundle that was approved in this workspace last; None if none was."""
    path = workspace / APPROVED / "manifest"
    return Bundle.parse(path.read_text(encoding="utf-8")) if path.is_file() else None


def since(workspace: Path, member: Member, bundle: Bundle) -> str:
    """What lies here otherwise than this member has signed, and what to do; "" if it is not known.

    Read for its words alone: whether the bundle may run is for `verify`.
    """
    old, path = last_approved(workspace), workspace / FILE
    if old is None or not path.is_file():
        return ""
    signed = signed_statement.verify(
        KIND, path.read_bytes(), member.certificate, name=str(path)
    ).get("bundle")
    lines = bundles.differences(old, bundle)
    if signed != old.digest or not lines:
        return ""
    more = f" and {len(lines) - MOST_NAMED} more" if len(lines) > MOST_NAMED else ""
    told = (
        f"{path} is for bundle {signed}, expected {bundle.digest}. Since that was approved: "
        f"{', '.join(lines[:MOST_NAMED])}{more}."
    )
    if all(line.startswith("new: ") and not line.endswith(bundles.CODE) for line in lines):
        return (
            f"{told} Nothing that is new can be imported: delete it, if nobody needs it, and "
            "nothing is to be signed anew."
        )
    return (
        f"{told} Put it back as it was, unless you know of the change; then look at it, and sign "
        f"it: python -m src show && python -m src approve -n {member.name}"
    )


def changes(workspace: Path, bundle: Bundle) -> list[str]:
    """What differs from the last approved bundle: one line a file, then unified diffs of the texts.

    The list is empty if nothing was approved here before, or nothing has changed.
    """
    old = last_approved(workspace)
    if old is None:
        return []
    lines = bundles.differences(old, bundle)
    for path in sorted({*old.files, *bundle.files}):
        if old.files.get(path) != bundle.files.get(path):
            before, after = _lines(workspace / APPROVED / path), _lines(workspace / path)
            lines += difflib.unified_diff(before, after, f"approved/{path}", path, lineterm="")
    return lines


def _texts(workspace: Path, bundle: Bundle) -> list[Path]:
    paths = [Path(path) for path in bundle.files if not path.startswith("save/")]
    return [path for path in paths if (workspace / path).stat().st_size <= TEXT_BYTES]


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (FileNotFoundError, UnicodeDecodeError):
        return []
