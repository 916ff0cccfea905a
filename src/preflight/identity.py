"""Certificates, keys, member list, deny list, approval."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import yaml

from src.errors import Refused
from src.plan import plan as plans
from src.preflight.finding import Patient, State
from src.trust import approval, key_transport, members
from src.trust import certificate as certificates
from src.trust.certificate import AGGREGATOR, SEALING, SITE, Chain
from src.trust.gate import ROSTER, own_certificate
from src.trust.revocation import DenyList

ENDS_SOON = timedelta(days=14)
AUTHORITY_KEYS = ("root.key", "signing.key", "desk.key", "signing-ca.key")


def member_list(patient: Patient) -> Iterator[tuple[State, str]]:
    """Chain, desk's signature, every certificate in the list."""
    listed = patient.members
    yield "ok", f"aggregator {listed.aggregator.name}; sites {', '.join(listed.sites)}"


def own(patient: Patient) -> Iterator[tuple[State, str]]:
    """This party's certificate and key fit each other and the member list."""
    listed = patient.members
    member = listed.site(patient.name) if patient.name else listed.aggregator
    chain = Chain.read(patient.workspace / members.CHAIN_FILE)
    certificate, _ = own_certificate(patient.workspace, member, chain, patient.now)
    yield "ok", f"{member.name}, {member.role.name}, until {certificate.not_valid_after_utc:%F}"


def sealing(patient: Patient) -> Iterator[tuple[State, str]]:
    """A site's second key is there, and is the one in the member list."""
    if patient.name is None:
        return
    path = patient.workspace / "cert" / "sealing" / f"col_{patient.name}.crt"
    certificate = certificates.read_certificate(path)
    chain = Chain.read(patient.workspace / members.CHAIN_FILE)
    chain.check(certificate, SEALING, name=str(path), now=patient.now)
    certificates.read_key(path.with_suffix(".key"), certificate)
    if certificate != patient.members.site(patient.name).sealing:
        yield "fail", f"{path} is not the one in the member list. Take the desk's newest package."
    else:
        yield "ok", f"until {certificate.not_valid_after_utc:%F}"


def deny_list(patient: Patient) -> Iterator[tuple[State, str]]:
    """Signed, not older than one seen, not overdue; nobody needed here is on it."""
    chain = Chain.read(patient.workspace / members.CHAIN_FILE)
    denied = DenyList(patient.workspace, chain.signing)
    for member in patient.members.members:
        try:
            denied.check(member.certificate.serial_number, name=member.name)
        except Refused as refusal:
            needed = member.role == AGGREGATOR or member.name == patient.name
            yield "fail" if needed else "warn", str(refusal)
    if denied.is_due(patient.now):
        due = denied.current().next_update_utc
        yield "warn", f"a newer list was due at {due:%F}. Ask the desk for it."
    else:
        yield "ok", f"{len(list(denied.current()))} certificates are on it"


def expiry(patient: Patient) -> Iterator[tuple[State, str]]:
    """No certificate of the list ends soon: a run would end with it."""
    soon = False
    for member in patient.members.members:
        left = member.certificate.not_valid_after_utc - patient.now
        if left < ENDS_SOON:
            soon = True
            yield "warn", f"{member.name}'s certificate ends in {left.days} days. Ask the desk."
    if not soon:
        yield "ok", f"none ends within {ENDS_SOON.days} days"


def keys(patient: Patient) -> Iterator[tuple[State, str]]:
    """Keys are for their owner alone, and nobody else's lie here."""
    found = sorted((patient.workspace / "cert").rglob("*.key"))
    expected = f"col_{patient.name}.key" if patient.name else None
    good = True
    for path in found:
        if path.stat().st_mode & 0o077:
            good = False
            yield "fail", f"{path} can be read by other users: `chmod 600 {path}`."
        if path.name in AUTHORITY_KEYS or (patient.name is None and path.parent.name != "server"):
            good = False
            yield "fail", f"{path} is no key of this party's. It belongs to the desk or a site."
        elif expected and path.name != expected:
            good = False
            yield "fail", f"{path} is another party's key; this is {patient.name}. Remove it."
    if good:
        yield "ok", f"{len(found)}, mode 0600"


def sum_keys(patient: Patient) -> Iterator[tuple[State, str]]:
    """The keys of encrypted sums: at a site this run's, at the aggregator none."""
    if patient.name is None:
        key_transport.refuse_foreign_keys(patient.workspace)
    if plans.build(patient.plan["compression_pipeline"]).encryption is None:
        yield "ok", "the plan does not encrypt"
    elif patient.name is None:
        yield "ok", "none here, as it must be"
    else:
        member, digest = patient.members.site(patient.name), patient.bundle.digest
        listed = patient.members
        key_transport.open_keys(patient.workspace, member, listed, digest, patient.now)
        yield "ok", f"of run {listed.run[:16]}…, sealed by the desk for {patient.name}"


def requests(patient: Patient) -> Iterator[tuple[State, str]]:
    """One request at most: `fx` packs every one whose name contains the site's."""
    found = sorted((patient.workspace / "cert" / "client").glob("*.csr"))
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        yield "warn", f"several requests lie in cert/client ({names}). Remove the old ones."
    else:
        yield "ok", f"{len(found)} in cert/client"


def approved(patient: Patient) -> Iterator[tuple[State, str]]:
    """A site has signed what lies here; the aggregator has everything that sites sign."""
    digest = patient.bundle.digest
    if patient.name is None:
        yield "ok", f"{digest[:16]}…, {len(patient.bundle.files)} files"
        return
    member = patient.members.site(patient.name)
    path = patient.workspace / approval.FILE
    if not path.is_file():
        yield "fail", f"nothing is approved: python -m src show, then approve -n {patient.name}"
        return
    run = patient.members.run
    found = approval.verify(path.read_bytes(), member, run, digest, name=str(path))
    yield "ok", f"{digest[:16]}…, approved {found['approved']}"


def roster(patient: Patient) -> Iterator[tuple[State, str]]:
    """OpenFL's list of sites at the aggregator is the desk's."""
    if patient.name is not None:
        return
    path = patient.workspace / ROSTER
    content = yaml.safe_load(path.read_text()) if path.is_file() else None
    names = sorted((content or {}).get("collaborators") or [])
    sites = patient.members.sites
    if names == sites:
        yield "ok", f"{len(names)} {SITE.name}s"
    else:
        yield (
            "fail",
            f"{path} lists {', '.join(names) or 'nobody'}, the desk {', '.join(sites)}. Take the "
            f"desk's package: python -m src receive {Path('desk_to_agg_NAME.zip')}",
        )
