"""The revocation list: an X.509 CRL (RFC 5280 s.5), read again whenever it changes.

It reaches a party as a file and is enforced at the party's next call, without a restart. A list
with a lower number than one seen before is refused, so that nobody can bring back a revoked
certificate by bringing back an old list.
"""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from cryptography import x509

from src.errors import Refused
from src.files import read_own_json, write_atomically

FILE = Path("cert/revoked.crl")
SEEN = Path("local_state/revocation.number")


class RevocationList:
    """The revocation list in a workspace.

    signing: the certificate that must have issued it.
    on_new: called whenever another list was read.
    Refused, by the constructor and by every method: the list is missing, not by this authority, or
    older than one seen before.
    """

    def __init__(
        self,
        workspace: Path,
        signing: x509.Certificate,
        on_new: Callable[[], None] = lambda: None,
    ) -> None:
        self.path = workspace / FILE
        self.seen = workspace / SEEN
        self._signing = signing
        self._state: tuple[int, int] | None = None
        self._list: x509.CertificateRevocationList | None = None
        self.current()
        self._on_new = on_new

    def current(self) -> x509.CertificateRevocationList:
        """The list as it lies there now."""
        try:
            status = self.path.stat()
        except FileNotFoundError:
            raise Refused(f"{self.path} is missing. The desk sends one, even if empty.") from None
        state = (status.st_mtime_ns, status.st_ino)
        if self._list is None or state != self._state:
            self._list = self._read()
            first, self._state = self._state is None, state
            if not first:
                self._on_new()
        return self._list

    def _read(self) -> x509.CertificateRevocationList:
        found = parse(self.path.read_bytes(), self._signing, name=str(self.path))
        seen = read_own_json(self.seen) if self.seen.is_file() else 0
        if number(found) < seen:
            raise Refused(
                f"{self.path} is number {number(found)}, but number {seen} was here before. "
                "Get the newest list from the desk."
            )
        if number(found) > seen:
            write_atomically(self.seen, str(number(found)))
        return found

    def check(self, serial: int, *, name: str) -> None:
        """Refused if that certificate is on the list; the message says since when and why."""
        entry = self.current().get_revoked_certificate_by_serial_number(serial)
        if entry is not None:
            raise Refused(
                f"the certificate of {name} (serial number {serial:x}) was revoked at "
                f"{entry.revocation_date_utc:%F %T} UTC{_reason(entry)}. "
                "The desk issues a new one."
            )

    def is_due(self, now: datetime) -> bool:
        """Whether a newer list should have come by now."""
        due = self.current().next_update_utc
        return due is not None and now > due


def parse(
    content: bytes, signing: x509.Certificate, *, name: str
) -> x509.CertificateRevocationList:
    """The revocation list, if this authority has issued it.

    Refused: the bytes are no numbered list, or another authority's.
    """
    try:
        found = x509.load_pem_x509_crl(content)
        number(found)
    except (ValueError, x509.ExtensionNotFound) as error:
        raise Refused(f"{name}: not a numbered revocation list: {error}") from None
    if not found.is_signature_valid(signing.public_key()):  # type: ignore[arg-type]
        raise Refused(f"{name} is not signed by this federation's authority. Ask the desk.")
    return found


def number(revocations: x509.CertificateRevocationList) -> int:
    """The list's number; each new list has a higher one."""
    return revocations.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number


def _reason(entry: x509.RevokedCertificate) -> str:
    try:
        return f" ({entry.extensions.get_extension_for_class(x509.CRLReason).value.reason.value})"
    except x509.ExtensionNotFound:
        return ""
