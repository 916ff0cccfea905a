"""What comes from the desk (packages, revocation lists) is checked before it replaces anything."""

import tempfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509

from src.errors import Refused
from src.files import write_atomically
from src.trust import certificate as certificates
from src.trust import encryption_key, key_transport, members, revocation
from src.trust.carried import ORIGINAL, unpacked
from src.trust.certificate import AGGREGATOR, ENCRYPTION, SITE, CertificatePath
from src.trust.lock import WorkspaceLock
from src.trust.party import write_roster

LARGEST_BYTES = 4 << 20
ROLES = {"client": SITE, "server": AGGREGATOR, "encryption": ENCRYPTION}  # by folder
REVOCATION_LIST = b"-----BEGIN X509 CRL"
SHARED = ("cert_chain.crt", "desk.crt", "members.json", "revoked.crl")


@dataclass(frozen=True)
class Received:
    """What was put in place.

    files: where the content of the package lies now.
    root: the root certificate of the federation.
    root_is_new: whether no authority was known here before.
    """

    files: list[Path]
    root: x509.Certificate
    root_is_new: bool


def receive(package: Path, workspace: Path, now: datetime, *, new_root: bool = False) -> Received:
    """Check a package or a revocation list, then put its files in place.

    new_root: accept another authority than the one known here.
    Refused, and nothing is replaced: it is for another party, comes from another authority, is not
    signed by the desk, or holds anything that it should not. WorkspaceHeld: a process runs in the
    workspace, and it is a package; a revocation list is taken all the same.
    """
    if package.suffix == ".crl" or _begins(package, REVOCATION_LIST):
        chain = CertificatePath.read(workspace / members.CHAIN_FILE)
        content = {"revoked.crl": package.read_bytes()}
        newer = revocation.parse(content["revoked.crl"], chain.signing, name=str(package))
        revocation.check_in_force(newer, now, name=str(package))
        return Received(_put(content, workspace, chain), chain.root, False)
    content = _unpack(package)
    with tempfile.TemporaryDirectory() as folder:
        stage = Path(folder)
        for name, data in content.items():
            write_atomically(stage / "cert" / name, data)
        listed = members.read(stage, now)
        chain = CertificatePath.read(stage / members.CHAIN_FILE)
        revocation.RevocationList(stage, chain.signing, lambda: now)
        _check_own(content, stage, workspace, chain, now)
        _check_keys(stage, listed, workspace, now)
    known = workspace / members.CHAIN_FILE
    root_is_new = not known.is_file()
    if not root_is_new and not new_root and CertificatePath.read(known).root != chain.root:
        raise Refused(
            f"{package} is of another authority than the one known here. If the desk has made a "
            "new one, compare its words by telephone and repeat with --new-authority."
        )
    with WorkspaceLock(workspace, lambda: now).held():  # what runs here has read the files it needs
        files = _put(content, workspace, chain)
        if any(name.startswith("server/") for name in content):
            write_roster(workspace, listed.sites)
    return Received(files, chain.root, root_is_new)


def _unpack(package: Path) -> dict[str, bytes]:
    """The package's files by name.

    Refused: it is no package of the desk's, too large, incomplete, or holds anything else.
    """
    content = unpacked(package, "a package of the desk", most_bytes=LARGEST_BYTES)
    missing = [name for name in SHARED if name not in content]
    folders = {*ROLES, key_transport.FOLDER.name}
    foreign = [
        name
        for name in content
        if name not in SHARED and Path(name).parent.as_posix() not in folders
    ]
    if missing or foreign:
        wrong = ", ".join([*missing, *foreign])
        raise Refused(
            f"{package}: expected a package of the desk; wrong or missing: {wrong}. {ORIGINAL}"
        )
    return content


def _begins(path: Path, mark: bytes) -> bool:
    """Whether a file begins so, whatever it was renamed to on its way."""
    with path.open("rb") as file:
        return file.read(64).lstrip(b"\xef\xbb\xbf \r\n").startswith(mark)


def _check_own(
    content, stage: Path, workspace: Path, chain: CertificatePath, now: datetime
) -> None:
    """Refused unless every leaf in the package fits its role and a key that this party has."""
    leaves = [Path(name) for name in content if Path(name).parent.name in ROLES]
    if not leaves:
        raise Refused("The package holds no certificate for this party.")
    for name in leaves:
        path = stage / "cert" / name
        leaf = certificates.read_certificate(path)
        chain.check(leaf, ROLES[name.parent.name], name=str(name), now=now)
        certificates.read_key((workspace / "cert" / name).with_suffix(".key"), leaf)


def _check_keys(stage: Path, listed: members.Members, workspace: Path, now: datetime) -> None:
    """Refused unless the keys of encrypted sums are by the desk and for this site.

    (Whether they are for this bundle is checked when the site starts.)
    """
    for path in stage.glob(f"{key_transport.FOLDER}/*"):
        name = path.stem.removeprefix("col_")
        key = workspace / encryption_key.FOLDER / f"col_{name}.key"
        key_transport.open_keys(stage, listed.site(name), listed, None, now, sealing_key=key)


def _put(content: dict[str, bytes], workspace: Path, chain: CertificatePath) -> list[Path]:
    """Write the files below cert/; return their paths.

    Refused: the revocation list is older than the one known here.
    """
    newer = revocation.parse(content["revoked.crl"], chain.signing, name="revoked.crl")
    seen = workspace / revocation.SEEN
    if seen.is_file() and revocation.number(newer) < int(seen.read_text(encoding="utf-8")):
        raise Refused("The revocation list is older than the one known here. Get the newest one.")
    files = []
    for name, data in content.items():
        path = workspace / "cert" / name
        write_atomically(path, data)
        files.append(path)
    return files
