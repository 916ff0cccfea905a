"""`ledger verify` checks every ledger here, and compares it with the site's audit log.

The chain finds lines that were altered, dropped or moved; the signatures tell who wrote them; the
audit log and the folder's journal find a ledger that was lost, truncated or replaced by an older
copy. Where all of these were put back together, or others used, other parties' logs find it: they
hold the heads of this site's journal that it has shown in a run.
"""

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Literal

from cryptography import x509

from src import pem_door
from src.differential_privacy import journal
from src.differential_privacy.ledger import BOOKED, alone
from src.differential_privacy.ledger_file import LedgerFile, ledger_files
from src.differential_privacy.signed_lines import KIND, signed_digest
from src.errors import Damaged, Refused
from src.hash_chain import Entry, digest
from src.secure_aggregation.heads import SHOWN
from src.trust import audit, fingerprint, members, signed_statement
from src.trust import certificate as certificates
from src.trust.certificate import SITE, CertificatePath

State = Literal["ok", "warn"]


def check(folder: Path, workspace: Path, now: datetime) -> Iterator[tuple[State, str]]:
    """States and sentences about what was found.

    Damaged: the first line that is not as it was written. Refused: no ledger was begun here.
    """
    listed = members.read(workspace, now)
    authority = CertificatePath.read(workspace / members.CHAIN_FILE)
    known, noted = _with_journal(folder)
    signers = [member.certificate for member in listed.members]
    for ledger_file in known:
        found = _signers(ledger_file)
        signers += [certificate for _, certificate in found]
        yield "ok", f"{ledger_file.path}: {len(ledger_file.lines)} lines, chain and signatures hold"
        for line, certificate in found:
            if text := _foreign(ledger_file, line, certificate, authority):
                yield "warn", text
    yield "ok", _against(known, workspace / audit.FILE, signers, folder)
    yield "ok", _begun(folder, known, noted or journal.read(folder))


def refuse_lost(folder: Path, workspace: Path, now: datetime) -> None:
    """Damaged if this workspace's audit log knows of bookings that no ledger here holds."""
    known = read(folder)
    signers = [member.certificate for member in members.read(workspace, now).members]
    signers += [found for ledger_file in known for _, found in _signers(ledger_file)]
    _against(known, workspace / audit.FILE, signers, folder)


def against_peer(folder: Path, log: Path, site: str, workspace: Path, now: datetime) -> str:
    """Compare the journal here with the heads of it that another party's audit log holds.

    log: a copy of that party's. Damaged: the journal has not had one of them: it was put back to an
    older state, or is another; or the log was altered.
    """
    certificates_ = [member.certificate for member in members.read(workspace, now).members]
    lines = journal.read(folder)
    shown = [
        line
        for line in audit.verify(log, certificates_)
        if line["event"] == SHOWN and line["site"] == site
    ]
    for line in shown:
        count = line["count"]
        if count > len(lines) or digest(lines[count - 1]) != line["sha256"]:
            raise Damaged(
                f"{log}: in round {line['round']} of run {line['run'][:16]}… {site} has shown a "
                f"ledger of {count} lines ({line['sha256'][:16]}…), which {folder / journal.FILE} "
                f"with {len(lines)} lines does not continue: it was put back to an older state, or "
                "is another. Restore the newest; what is spent is not known until then."
            )
    return f"{log}: {len(shown)} heads of {site}'s ledger, all of them in {folder / journal.FILE}"


def _with_journal(folder: Path) -> tuple[list[LedgerFile], list[Entry]]:
    """Ledgers and journal of one moment; no lines of a journal where none was begun."""
    if not folder.is_dir():
        return [], []
    with alone(folder):
        return ledger_files(folder), journal.read(folder) if journal.is_begun(folder) else []


def _begun(folder: Path, known: list[LedgerFile], lines: list[Entry]) -> str:
    place = f"{folder / journal.FILE}: line 0"
    first = lines[0]
    _verify(first, pem_door.certificate(first["certificate"].encode()), place)
    journal.compare(folder, lines, known)
    return (
        f"{folder / journal.FILE}: {len(lines)} lines, begun {first['time'][:10]} by "
        f"{first['by']}: {first['why']}"
    )


def read(folder: Path) -> list[LedgerFile]:
    """Every ledger of a folder, torn ends mended; an empty list if there is no folder.

    Damaged: a ledger is damaged.
    """
    if not folder.is_dir():
        return []
    with alone(folder):
        return ledger_files(folder)


def _signers(ledger_file: LedgerFile) -> list[tuple[Entry, x509.Certificate]]:
    """Pairs (line, certificate): from that line on, this certificate signs.

    Damaged: a signature does not hold.
    """
    found: list[tuple[Entry, x509.Certificate]] = []
    for line in ledger_file.lines:
        place = f"{ledger_file.path}: line {line['n']}"
        if "certificate" in line:
            found.append((line, pem_door.certificate(line["certificate"].encode())))
        _verify(line, found[-1][1], place)
    return found


def _verify(line: Entry, certificate: x509.Certificate, place: str) -> None:
    """Damaged unless the line holds this certificate's signature over itself."""
    content = json.dumps(line.get("envelope")).encode()
    try:
        signer = signed_statement.signer(content)
        if signer != fingerprint.of_certificate(certificate):
            raise Damaged(f"{place}: signed with another certificate than the ledger names.")
        signed = signed_statement.verify(KIND, content, certificate, name=place)
    except Refused as refusal:
        raise Damaged(str(refusal)) from refusal
    if signed != {"line": signed_digest(line)}:
        raise Damaged(f"{place}: the signature is under another line.")


def _foreign(
    ledger_file: LedgerFile, line: Entry, certificate: x509.Certificate, authority: CertificatePath
) -> str | None:
    """A finding about a certificate that this federation did not issue to this site, else None."""
    place = f"{ledger_file.path}: line {line['n']}"
    try:
        written = datetime.fromisoformat(line["time"])
        authority.check(certificate, SITE, name=place, now=written)
    except Refused as refusal:
        return f"{refusal} Written in another federation? If you know of none, ask who wrote it."
    name, _ = certificates.parse_common_name(certificates.subject(certificate))
    return (
        None
        if name == ledger_file.site
        else f"{place}: {name} has signed {ledger_file.site}'s ledger."
    )


def _against(
    known: list[LedgerFile], log: Path, signers: list[x509.Certificate], folder: Path
) -> str:
    if not log.is_file():
        return f"{log}: no such log, so nothing that it could miss"
    noted = [line for line in audit.verify(log, signers) if line["event"] == BOOKED]
    heads = {digest(line) for ledger_file in known for line in ledger_file.lines}
    for line in noted:
        if line["head"] not in heads:
            raise Damaged(
                f"{log}: line {line['n']} says that round {line['round']} of run {line['run']} was "
                f"booked in {line['ledger']}, but no ledger in {folder} holds it: one was lost, "
                "cut off or replaced. Restore the folder from the backup; what is spent is not "
                "known until then."
            )
    return f"{log}: {len(noted)} bookings, all of them in the ledgers"
