"""The revocation list: an X.509 CRL (RFC 5280 s.5), read again whenever it changes.

It reaches a party as a file, or is handed on by another party, and is enforced at the party's next
call, without a restart. Three rules keep anybody from holding a revocation back: a list counts only
from its `thisUpdate` to its `nextUpdate`, and past that a party talks to nobody; a list with a
lower number than one seen before is refused; and a higher number is taken from whoever hands it on,
since the authority's signature is on it.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from threading import RLock

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from src import pem_door
from src.errors import Refused, WireError
from src.files import read_own_json, write_atomically

FILE = Path("cert/revoked.crl")
SEEN = Path("local_state/revocation.number")
ENDS_SOON = timedelta(days=5)  # from here on the doctor and the audit log warn
MOST_BYTES = 1 << 20  # of a list that another party hands on
ADVICE = "Ask the desk for the newest (certify revocations), then: python -m src receive"


class RevocationList:
    """The revocation list in a workspace.

    signing: the certificate that must have issued it.
    now: the clock.
    on_new: called whenever another list was read.
    Refused, by the constructor and by every method: the list is missing, not by this authority,
    older than one seen before, of the future, or past its time.
    """

    def __init__(
        self,
        workspace: Path,
        signing: x509.Certificate,
        now: Callable[[], datetime],
        on_new: Callable[[], None] = lambda: None,
    ) -> None:
        self.path = workspace / FILE
        self.seen = workspace / SEEN
        self._signing = signing
        self._now = now
        self._state: tuple[int, int] | None = None
        self._list: x509.CertificateRevocationList | None = None
        self._reading = RLock()  # an aggregator's threads all ask
        self.current()
        self._on_new = on_new

    def current(self) -> x509.CertificateRevocationList:
        """The list as it lies there now, in force."""
        with self._reading:
            found, is_new = self._newest()
            check_in_force(found, self._now(), name=str(self.path))
            if is_new:
                self._on_new()
        return found

    def _newest(self) -> tuple[x509.CertificateRevocationList, bool]:
        """(the list on disk, whether it is another than before)."""
        try:
            status = self.path.stat()
        except FileNotFoundError:
            raise Refused(f"{self.path} is missing. The desk sends one, even if empty.") from None
        state = (status.st_mtime_ns, status.st_ino)
        if self._list is not None and state == self._state:
            return self._list, False
        self._list = self._read()
        is_new, self._state = self._state is not None, state
        return self._list, is_new

    def _read(self) -> x509.CertificateRevocationList:
        found = parse(self.path.read_bytes(), self._signing, name=str(self.path))
        seen = read_own_json(self.seen) if self.seen.is_file() else 0
        if number(found) < seen:
            raise Refused(
                f"{self.path} is number {number(found)}, but number {seen} was here before. "
                f"{ADVICE}"
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

    def is_on(self, serial: int) -> bool:
        """Whether that certificate is on the list."""
        return self.current().get_revoked_certificate_by_serial_number(serial) is not None

    def ends_soon(self) -> datetime | None:
        """When the list ends, if that is soon; None: it is not."""
        ends = until(self.current())
        return ends if ends - self._now() < ENDS_SOON else None

    def content(self) -> bytes:
        """The list, to be handed on."""
        return self.current().public_bytes(Encoding.PEM)

    def take(self, content: bytes, *, source: str) -> int:
        """Put a list that another party hands on in the place of this one, if its number is higher.

        source: who hands it on. Returns by how much the number is higher; not above 0: nothing was
        changed. Refused: it is no list of this authority's that is in force now; nothing was
        changed.
        """
        name = f"the revocation list from {source}"
        if len(content) > MOST_BYTES:
            raise Refused(f"{name} has {len(content)} bytes, at most {MOST_BYTES} are read.")
        offered = parse(content, self._signing, name=name)
        check_in_force(offered, self._now(), name=name)
        with self._reading:
            higher = number(offered) - number(self.current())
            if higher > 0:
                write_atomically(self.path, offered.public_bytes(Encoding.PEM))
                self.current()
        return higher


def parse(
    content: bytes, signing: x509.Certificate, *, name: str
) -> x509.CertificateRevocationList:
    """The revocation list, if this authority has issued it.

    Refused: the bytes are no numbered list with an end, or another authority's.
    """
    try:
        found = pem_door.revocation_list(content)
    except WireError as error:
        raise Refused(f"{name}: not a numbered revocation list: {error}") from None
    if not found.is_signature_valid(signing.public_key()):  # type: ignore[arg-type]
        raise Refused(f"{name} is not signed by this federation's authority. Ask the desk.")
    if found.next_update_utc is None:
        raise Refused(f"{name} does not say until when it counts. {ADVICE}")
    return found


def check_in_force(
    revocations: x509.CertificateRevocationList, now: datetime, *, name: str
) -> None:
    """Refused before the list's time, and past it.

    No skew of clocks is allowed for: the desk dates a list back by the policy's `backdate_minutes`.
    """
    begins, ends = revocations.last_update_utc, until(revocations)
    which = f"{name} (number {number(revocations)})"
    if now < begins:
        raise Refused(
            f"{which} counts from {begins:%F %T} UTC on, and here it is {now:%F %T}: a list of the "
            "future. Set this machine's clock; if it is right, call the desk."
        )
    if now > ends:
        raise Refused(
            f"{which} counted until {ends:%F %T} UTC. Who is on a newer one is not known here, so "
            f"nobody is talked to. {ADVICE}"
        )


def until(revocations: x509.CertificateRevocationList) -> datetime:
    """The moment until which the list counts; a newer one is due by then."""
    ends = revocations.next_update_utc
    if ends is None:  # `parse` lets no such list pass
        raise ValueError("a revocation list without an end")
    return ends


def number(revocations: x509.CertificateRevocationList) -> int:
    """The list's number; each new list has a higher one."""
    return revocations.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number


def _reason(entry: x509.RevokedCertificate) -> str:
    try:
        return f" ({entry.extensions.get_extension_for_class(x509.CRLReason).value.reason.value})"
    except x509.ExtensionNotFound:
        return ""
