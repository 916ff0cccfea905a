"""The TLS handshake with the aggregator, and, where it comes to nothing, what came instead."""

import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from cryptography import x509

from src.errors import AggregatorUnreachable
from src.network import strangers

Result = TypeVar("Result")
PIECE_BYTES = 16_384
ALPN = "h2"  # as gRPC asks for it


@dataclass(frozen=True)
class Credentials:
    """A site's certificate (its key beside it), and the authorities by which it knows others.

    expected: the aggregator's certificate in the member list, DER.
    """

    certificate: Path
    authorities: Path
    expected: bytes

    def context(self) -> ssl.SSLContext:
        """As gRPC shakes hands with them."""
        context = ssl.create_default_context(cafile=str(self.authorities))
        context.set_alpn_protocols([ALPN])
        context.load_cert_chain(self.certificate, self.certificate.with_suffix(".key"))
        return context


class Talk:
    """One TLS connection over a socket, which keeps the first bytes that the other side has sent.

    verified: the other side has proved to be whom the certificate names.
    """

    def __init__(self, plain: socket.socket, context: ssl.SSLContext, host: str) -> None:
        self._plain = plain
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self.first = b""
        self.verified = False

    def shake(self) -> bytes:
        """The other side's certificate, DER, once it has taken this side's. OSError: it has not."""
        self._until_done(self._tls.do_handshake)
        self.verified = True
        shown = self._tls.getpeercert(binary_form=True) or b""
        # only now: TLS 1.3 refuses a client after the handshake; gRPC speaks first otherwise
        if not self._until_done(lambda: self._tls.read(1)):
            raise ConnectionResetError("it hung up")
        return shown

    def _until_done(self, act: Callable[[], Result]) -> Result:
        while True:
            try:
                return act()
            except ssl.SSLWantReadError:
                self._send()
                self._receive()
            finally:
                self._send()  # an alert, too

    def _send(self) -> None:
        if self._outgoing.pending:
            self._plain.sendall(self._outgoing.read())

    def _receive(self) -> None:
        piece = self._plain.recv(PIECE_BYTES)
        self.first = self.first or piece
        if piece:
            self._incoming.write(piece)
        else:
            self._incoming.write_eof()


def shake(
    plain: socket.socket, credentials: Credentials, host: str, place: str, now: datetime
) -> bytes:
    """The certificate, DER, of whoever has proved to be the aggregator and has taken this site's.

    place: what messages call the other side. AggregatorUnreachable: why it comes to nothing.
    """
    talk = Talk(plain, credentials.context(), host)
    own = x509.load_pem_x509_certificate(credentials.certificate.read_bytes())
    try:
        return talk.shake()
    except ssl.SSLCertVerificationError as error:
        text = strangers.unproved(place, error, credentials.expected, now)
    except ssl.SSLEOFError:
        text = strangers.hung_up(place, talk.first, verified=talk.verified)
    except ssl.SSLError as error:
        text = strangers.broken(place, talk.first, error, own, now, verified=talk.verified)
    except TimeoutError:
        text = strangers.silent(place, talk.first, verified=talk.verified)
    except OSError:
        text = strangers.hung_up(place, talk.first, verified=talk.verified)
    raise AggregatorUnreachable(text)
