"""Rules about certificates, keys, the member list, the revocation list and the approval."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from src.errors import Refused, WireError
from src.fields import Fields
from src.files import bounded
from src.preflight.finding import Examination, State
from src.strict import MOST_YAML_BYTES, yaml_value
from src.trust import approval, key_transport, members
from src.trust import certificate as certificates
from src.trust.certificate import AGGREGATOR, ENCRYPTION, SITE, CertificatePath
from src.trust.party import COLLABORATORS, own_certificate
from src.trust.revocation import ADVICE, RevocationList, until

ENDS_SOON = timedelta(days=14)
AUTHORITY_KEYS = ("root.key", "signing.key", "desk.key", "signing-ca.key")


def member_list(examination: Examination) -> Iterator[tuple[State, str]]:
    """Whether the certification path, the desk's signature and all certificates are good."""
    listed = examination.members
    yield "ok", f"aggregator {listed.aggregator.name}; sites {', '.join(listed.sites)}"


def own(examination: Examination) -> Iterator[tuple[State, str]]:
    """Whether this party's certificate and key fit each other and the member list."""
    listed = examination.members
    member = listed.site(examination.name) if examination.name else listed.aggregator
    chain = CertificatePath.read(examination.workspace / members.CHAIN_FILE)
    certificate, _ = own_certificate(examination.workspace, member, chain, examination.now)
    yield "ok", f"{member.name}, {member.role.name}, until {certificate.not_valid_after_utc:%F}"


def encryption(examination: Examination) -> Iterator[tuple[State, str]]:
    """Whether a site's encryption key is here and is the one that the member list names."""
    if examination.name is None:
        return
    listed = examination.members
    path = examination.workspace / "cert" / "encryption" / f"col_{examination.name}.crt"
    certificate = certificates.read_certificate(path)
    chain = CertificatePath.read(examination.workspace / members.CHAIN_FILE)
    chain.check(certificate, ENCRYPTION, name=str(path), now=examination.now)
    certificates.read_key(path.with_suffix(".key"), certificate)
    if certificate != listed.site(examination.name).encryption:
        yield "fail", f"{path} is not the one in the member list. Take the desk's newest package."
    else:
        yield "ok", f"until {certificate.not_valid_after_utc:%F}"


def revocation_list(examination: Examination) -> Iterator[tuple[State, str]]:
    """Whether the revocation list is signed, current, and names nobody who is needed here."""
    listed = examination.members
    chain = CertificatePath.read(examination.workspace / members.CHAIN_FILE)
    revocations = RevocationList(examination.workspace, chain.signing, lambda: examination.now)
    for member in listed.members:
        try:
            revocations.check(member.certificate.serial_number, name=member.name)
        except Refused as refusal:
            needed = member.role == AGGREGATOR or member.name == examination.name
            yield "fail" if needed else "warn", str(refusal)
    if ends := revocations.ends_soon():
        yield "warn", f"it counts until {ends:%F %T} UTC; then nobody is talked to here. {ADVICE}"
    else:
        ends = until(revocations.current())
        yield "ok", f"{len(list(revocations.current()))} certificates on it; until {ends:%F %T} UTC"


def expiry(examination: Examination) -> Iterator[tuple[State, str]]:
    """Whether a certificate of the list ends soon; a run would end with it."""
    soon = False
    for member in examination.members.members:
        left = member.certificate.not_valid_after_utc - examination.now
        if left < ENDS_SOON:
            soon = True
            yield "warn", f"{member.name}'s certificate ends in {left.days} days. Ask the desk."
    if not soon:
        yield "ok", f"none ends within {ENDS_SOON.days} days"


def keys(examination: Examination) -> Iterator[tuple[State, str]]:
    """Whether keys can be read by their owner alone, and none is another party's."""
    found = sorted((examination.workspace / "cert").rglob("*.key"))
    expected = f"col_{examination.name}.key" if examination.name else None
    good = True
    for path in found:
        if path.stat().st_mode & 0o077:
            good = False
            yield "fail", f"{path} can be read by other users: `chmod 600 {path}`."
        if path.name in AUTHORITY_KEYS or (
            examination.name is None and path.parent.name != "server"
        ):
            good = False
            yield "fail", f"{path} is no key of this party's. It belongs to the desk or a site."
        elif expected and path.name != expected:
            good = False
            yield "fail", f"{path} is another party's key; this is {examination.name}. Remove it."
    if good:
        yield "ok", f"{len(found)}, mode 0600"


def sum_keys(examination: Examination) -> Iterator[tuple[State, str]]:
    """Whether the keys of encrypted sums are this run's at a site, and absent at the aggregator."""
    if examination.name is None:
        key_transport.refuse_foreign_keys(examination.workspace)
    if examination.encryption is None:
        yield "ok", "the plan does not encrypt"
    elif examination.name is None:
        yield "ok", "none here, as it must be"
    else:
        member, digest = examination.members.site(examination.name), examination.bundle.digest
        listed = examination.members
        if _since(examination):
            yield "fail", "not examined: what lies here is not what was approved; see bundle."
            return
        key_transport.open_keys(examination.workspace, member, listed, digest, examination.now)
        yield "ok", f"of run {listed.run[:16]}…, encrypted by the desk for {examination.name}"


def requests(examination: Examination) -> Iterator[tuple[State, str]]:
    """Whether there is at most one request: `fx` packs every one whose name contains the site's."""
    found = sorted((examination.workspace / "cert" / "client").glob("*.csr"))
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        yield "warn", f"several requests lie in cert/client ({names}). Remove the old ones."
    else:
        yield "ok", f"{len(found)} in cert/client"


def approved(examination: Examination) -> Iterator[tuple[State, str]]:
    """Whether a site has signed what lies here, and the aggregator has all that sites sign."""
    if examination.name is None:
        digest = examination.bundle.digest
        yield "ok", f"{digest[:16]}…, {len(examination.bundle.files)} files"
        return
    member = examination.members.site(examination.name)
    digest = examination.bundle.digest
    path = examination.workspace / approval.FILE
    if not path.is_file():
        yield "fail", f"nothing is approved: python -m src show, then approve -n {examination.name}"
        return
    if changed := _since(examination):
        yield "fail", changed
        return
    run = examination.members.run
    found = approval.verify(path.read_bytes(), member, run, digest, name=str(path))
    yield "ok", f"{digest[:16]}…, approved {found['approved']}"


def _since(examination: Examination) -> str:
    """What has changed at a site since its approval, in words; "" if that is not known."""
    member = examination.members.site(str(examination.name))
    return approval.since(examination.workspace, member, examination.bundle)


def roster(examination: Examination) -> Iterator[tuple[State, str]]:
    """Whether OpenFL's list of sites at the aggregator is the desk's."""
    if examination.name is not None:
        return
    path = examination.workspace / COLLABORATORS
    try:
        content = yaml_value(bounded(path, MOST_YAML_BYTES)) if path.is_file() else {}
        names = sorted(Fields(content or {"collaborators": []}).texts("collaborators"))
    except WireError as error:
        yield "fail", f"{path} cannot be read: {error}"
        return
    sites = examination.members.sites
    if names == sites:
        yield "ok", f"{len(names)} {SITE.name}s"
    else:
        yield (
            "fail",
            f"{path} lists {', '.join(names) or 'nobody'}, the desk {', '.join(sites)}. Take the "
            f"desk's package: python -m src receive {Path('desk_to_agg_NAME.zip')}",
        )
