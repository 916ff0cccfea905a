"""The keys of one run's encrypted sums: made by the desk, encrypted for each site, and forgotten.

They are never written to a disk of the desk's. What the desk keeps are the envelopes, which it
cannot open, and a commitment (SHA-256 over salt and keys) in the signed member list, so that nobody
can pass off other keys.
"""

import os
from datetime import datetime
from pathlib import Path
from typing import Any

from certs.authority import Authority
from src.files import write_atomically
from src.plan import plan as plans
from src.plan.sources import Sources
from src.secure_aggregation.chosen import encryption_of
from src.secure_aggregation.keys import SumKeys
from src.trust import bundle, key_transport
from src.trust.members import Member, Members


def encrypts(workspace: Path) -> bool:
    """Whether the plan in this workspace encrypts the sites' updates."""
    plan = plans.read(workspace / bundle.PLAN)
    return encryption_of(plan["compression_pipeline"], Sources.of(workspace)) is not None


def commit(keys: SumKeys) -> dict[str, str]:
    """The commitment to the keys that the member list carries."""
    salt = os.urandom(16)
    return {"salt": salt.hex(), "sha256": keys.commitment(salt)}


def folder_of(authority: Authority, run: str) -> Path:
    """Where the desk keeps the envelopes of a run."""
    return authority.folder / "sealed" / run


def seal(
    authority: Authority, listed: Members, digest: str, keys: SumKeys, now: datetime
) -> dict[str, Any]:
    """Encrypt the keys for every site and store the envelopes.

    digest: the bundle's, to which the keys belong.
    The result is the entry for the desk's book, with the time at which the keys were forgotten.
    """
    for member in _sites(listed):
        content = key_transport.statement(listed, digest, member, keys)
        assert member.encryption is not None
        sealed = key_transport.seal(
            content, authority.desk, authority.key("desk"), member.encryption
        )
        path = folder_of(authority, listed.run) / key_transport.path_of(member.name).name
        write_atomically(path, sealed)
    return {"run": listed.run, "bundle": digest, "sealed_and_erased": now.isoformat()}


def envelopes(authority: Authority, listed: Members) -> dict[str, bytes]:
    """The envelope of each site, by name."""
    folder = folder_of(authority, listed.run)
    return {
        member.name: (folder / key_transport.path_of(member.name).name).read_bytes()
        for member in _sites(listed)
    }


def _sites(listed: Members) -> list[Member]:
    """The members that are sites, sorted by name."""
    return [listed.site(name) for name in listed.sites]
