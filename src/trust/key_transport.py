"""The keys of encrypted sums on their way: signed by the desk, then encrypted for one site (CMS).

RFC 5652: SignedData by the desk inside EnvelopedData (AES-256-CBC, RSA) for the site's encryption
certificate. `openssl cms -decrypt`, then `-verify`, opens and checks the same bytes. Encryption
alone proves nothing: anybody can encrypt to a public certificate, and a flipped byte would go
unnoticed.
"""

import json
import shutil
import subprocess
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from src.errors import Refused, WireError
from src.secure_aggregation.keys import SumKeys
from src.strict import json_value
from src.trust import certificate as certificates
from src.trust import encryption_key, members
from src.trust.members import Member, Members

FOLDER = Path("cert/keys")
DESKS_OWN = ("root.key", "signing.key", "desk.key")  # as `certs.authority` names them
BINARY = [pkcs7.PKCS7Options.Binary]


def path_of(name: str) -> Path:
    """Where a site's envelope lies in its workspace."""
    return FOLDER / f"col_{name}.cms"


def statement(listed: Members, digest: str, recipient: Member, keys: SumKeys) -> bytes:
    """The bytes that the desk signs: the keys, whom they are for, and for which run and bundle."""
    content = {
        "run": listed.run,
        "bundle": digest,
        "members": {member.name: member.sha256 for member in listed.members},
        "recipient": recipient.name,
        "recipient_sha256": recipient.sha256,
        **keys.statement(),
    }
    return json.dumps(content, sort_keys=True).encode()


def seal(
    content: bytes, desk: x509.Certificate, desk_key: RSAPrivateKey, to: x509.Certificate
) -> bytes:
    """Sign as the desk, then encrypt for the holder of `to`; the envelope in DER."""
    signed = (
        pkcs7.PKCS7SignatureBuilder()
        .set_data(content)
        .add_signer(desk, desk_key, hashes.SHA384())
        .sign(Encoding.DER, BINARY)
    )
    return (
        pkcs7.PKCS7EnvelopeBuilder()
        .set_data(signed)
        .add_recipient(to)
        .set_content_encryption_algorithm(AES256)
        .encrypt(Encoding.DER, BINARY)
    )


def open_keys(
    workspace: Path,
    member: Member,
    listed: Members,
    digest: str | None,
    now: datetime,
    *,
    sealing_key: Path | None = None,
) -> SumKeys:
    """A site's keys, decrypted in memory alone.

    digest: the bundle's; None where it is not known yet.
    sealing_key: the file of the site's encryption key, if it lies outside this workspace (a package
        that is being checked).
    Refused: there is no envelope; it is another site's, of another run or bundle, or not signed by
        the desk; or its keys are not those that the member list commits to.
    """
    path = workspace / path_of(member.name)
    if listed.keys is None:
        raise Refused(
            f"The member list names no keys for encrypted sums, and the plan asks for them. The "
            f"desk makes them with the packages: certify deliver --workspace ({path})."
        )
    if not path.is_file():
        raise Refused(f"{path} is missing. It comes in this site's package from the desk.")
    assert member.encryption is not None
    own = sealing_key or workspace / encryption_key.FOLDER / f"col_{member.name}.key"
    key = certificates.read_key(own, member.encryption)
    try:
        signed = pkcs7.pkcs7_decrypt_der(path.read_bytes(), member.encryption, key, [])
    except (ValueError, TypeError) as error:
        raise Refused(f"{path} is not encrypted for this site, or damaged: {error}") from None
    content = _verified(signed, workspace, now, name=str(path))
    expected: dict[str, Any] = {
        "run": listed.run,
        "members": {other.name: other.sha256 for other in listed.members},
        "recipient": member.name,
        "recipient_sha256": member.sha256,
    }
    if digest is not None:
        expected["bundle"] = digest
    try:
        found = json_value(content)
        keys = SumKeys.of(found)
        wrong = [key for key, value in expected.items() if found.get(key) != value]
    except WireError as error:
        raise Refused(f"{path} holds no keys that can be read: {error}") from None
    if wrong:
        raise Refused(
            f"{path} is for another {', '.join(wrong)} than this site has. Take the desk's newest "
            "package; after a change of plan or code the desk delivers anew."
        )
    if keys.commitment(bytes.fromhex(listed.keys["salt"])) != listed.keys["sha256"]:
        raise Refused(f"{path} holds other keys than the member list names.")
    return keys


def _verified(signed: bytes, workspace: Path, now: datetime, *, name: str) -> bytes:
    """The signed content, if the desk's own certificate has signed it.

    `cryptography` 50 signs CMS but cannot verify it; the command `openssl` does.
    """
    openssl = shutil.which("openssl")
    if openssl is None:
        raise Refused("The command `openssl` is missing (Debian: apt-get install openssl).")
    desk = str(workspace / members.DESK_FILE)
    command = [openssl, "cms", "-verify", "-binary", "-inform", "DER", "-nointern"]
    command += ["-certfile", desk, "-CAfile", str(workspace / members.CHAIN_FILE)]
    command += ["-attime", str(int(now.timestamp()))]
    done = subprocess.run(command, input=signed, capture_output=True, check=False)
    if done.returncode:
        reason = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise Refused(f"{name} was not signed by the desk: {' '.join(reason)}")
    return done.stdout


def refuse_foreign_keys(workspace: Path) -> None:
    """Refused if an aggregator's workspace holds keys that only the desk or a site may hold."""
    found = [*workspace.glob(f"{FOLDER}/*"), *workspace.glob(f"{encryption_key.FOLDER}/*.key")]
    found += [path for name in DESKS_OWN for path in workspace.rglob(name)]
    if found:
        raise Refused(
            f"{found[0]} lies at the aggregator. It must hold neither keys of encrypted sums nor "
            "the authority's: whoever has both can read sums, or let anybody in. Remove it there, "
            "and have the desk start a new run with new keys."
        )
