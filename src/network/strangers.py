"""Whoever answers in the aggregator's place: what it is, by what it says and how it ends a talk."""

import re
import ssl
from datetime import datetime

from cryptography import x509

from src.printable import printable

TLS_RECORDS = range(0x14, 0x18)  # RFC 8446, 5.1: the first byte of whatever speaks TLS
SIGNS = (  # of what answers in clear text
    (b"HTTP/", "an HTTP server"),
    (b"SSH-", "an SSH server"),
    (b"220", "a mail or FTP server"),
    (b"\0\0", "gRPC or HTTP/2 without TLS, as behind a load balancer that ends it"),
    (b"<", "a web server"),
    (b"+OK", "a mail server"),
    (b"* OK", "a mail server"),
)
MOST_SHOWN = 40  # bytes of what came instead
PASS_TCP = "a load balancer in between must pass TCP through, and not end TLS"
ASK_CLOCK = "is this clock right?"
OLDER = ("UNSUPPORTED_PROTOCOL", "ALERT_PROTOCOL_VERSION")
OF_CERTIFICATE = {  # alerts about this site's certificate
    "UNKNOWN_CA": "it does not know the authority that has issued it: it belongs to another "
    "federation, or the desk has made a new authority. Compare the authority's words with the desk",
    "BAD_CERTIFICATE": "it takes it for malformed or not for a site's. Ask the desk",
    "CERTIFICATE_REQUIRED": "it has seen none: something in between has taken it away",
    "CERTIFICATE_EXPIRED": "it has expired by the aggregator's clock",
    "CERTIFICATE_REVOKED": "it was revoked. Ask the desk",
    "CERTIFICATE_UNKNOWN": "it cannot accept it, and does not say why. Ask its operator",
    "UNSUPPORTED_CERTIFICATE": "it is not of a kind for a site. Ask the desk",
    "ACCESS_DENIED": "it lets nobody in with it. Ask its operator",
    "DECRYPT_ERROR": "its signature does not hold there: the key is another certificate's",
}
NOT_YET, EXPIRED, OTHER_NAME = 9, 10, 62  # OpenSSL: X509_V_ERR_…


def _clear_text(first: bytes) -> str | None:
    """What it is that does not speak TLS, by its first bytes; None: it may."""
    if not first or (first[0] in TLS_RECORDS and first[1:2] in (b"\x03", b"")):
        return None
    kind = next((name for sign, name in SIGNS if first.startswith(sign)), "something else")
    shown = printable(first[:MOST_SHOWN].decode("latin-1"))
    return f"{kind} (it says {shown})"


def _no_tls(place: str, what: str) -> str:
    return (
        f"whatever listens at {place} does not speak TLS: {what}. A wrong port or address, or a "
        f"load balancer that ends TLS; {PASS_TCP}."
    )


def unproved(
    place: str, error: ssl.SSLCertVerificationError, expected: bytes, now: datetime
) -> str:
    """The certificate that was shown proves nothing."""
    if error.verify_code in (NOT_YET, EXPIRED):  # authority and name were good
        known = x509.load_der_x509_certificate(expected)
        begin, end = known.not_valid_before_utc, known.not_valid_after_utc
        return (
            f"the aggregator's certificate at {place}: {error.verify_message}. It is {now:%F %T} "
            f"UTC here, and the member list's counts from {begin:%F %T} to {end:%F %T}: "
            f"{ASK_CLOCK} If it is, ask the desk."
        )
    if error.verify_code == OTHER_NAME:
        return (
            f"whoever answers at {place} cannot prove to be the aggregator: its certificate is of "
            f"this federation, but for another name ({error.verify_message}). A wrong address?"
        )
    return (
        f"whoever answers at {place} cannot prove to be the aggregator: {error.verify_message}. "
        f"A wrong address, a proxy that opens TLS, or a load balancer with a certificate of its "
        f"own; {PASS_TCP}. Do not go on."
    )


def broken(
    place: str,
    first: bytes,
    error: ssl.SSLError,
    own: x509.Certificate,
    now: datetime,
    *,
    verified: bool,
) -> str:
    """TLS has failed: by an alert of the other side, or because that speaks none."""
    reason = error.reason or str(error)
    if what := _clear_text(first):
        return _no_tls(place, what)
    if any(word in reason for word in OLDER):
        return (
            f"{place} speaks an older TLS than 1.2 alone. That is no aggregator of this kit: a "
            f"wrong address, or an old device in between; {PASS_TCP}."
        )
    alert = re.search(r"ALERT_(\w+)", reason)
    about = OF_CERTIFICATE.get(alert[1]) if alert else None
    if alert and about and verified:
        if alert[1] == "CERTIFICATE_EXPIRED":
            end = own.not_valid_after_utc
            about += f"; it is {now:%F %T} UTC here, and it counts until {end:%F %T}: {ASK_CLOCK}"
        return f"the aggregator at {place} refuses this site's certificate: {about}."
    if alert:
        said = alert[1].lower().replace("_", " ")
        return (
            f"whoever answers at {place} ends TLS with the alert “{said}” before it has proved "
            f"to be the aggregator. A wrong address, or something in between; {PASS_TCP}."
        )
    said = reason.lower().replace("_", " ")
    return f"TLS with {place} fails ({said}). A wrong address, or something in between; {PASS_TCP}."


def hung_up(place: str, first: bytes, *, verified: bool) -> str:
    """The other side has closed the connection."""
    if what := _clear_text(first):
        return _no_tls(place, what)
    if verified:
        return (
            f"the aggregator at {place} hangs up when it has seen this site's certificate, and "
            "does not say why: it is of another authority than the aggregator knows, or out of its "
            "time by the aggregator's clock, or the aggregator has just ended. Ask its operator."
        )
    when = "in the middle of the TLS handshake" if first else "at once, without a word of TLS"
    return (
        f"whoever listens at {place} hangs up {when}. A load balancer with nobody behind it, a "
        f"firewall that looks into connections, or a wrong port; {PASS_TCP}."
    )


def silent(place: str, first: bytes, *, verified: bool) -> str:
    """The other side takes the connection and says nothing, or nothing more."""
    if what := _clear_text(first):
        return _no_tls(place, what)
    if verified:
        return f"the aggregator at {place} shakes hands and then says nothing. Ask its operator."
    return (
        f"whatever listens at {place} takes the connection and says nothing"
        f"{' more' if first else ''}: no TLS on that port, a firewall that lets the connection "
        "through and nothing in it, or an aggregator that is stopped."
    )
