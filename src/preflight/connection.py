"""The line to the aggregator: name, port, TLS, identity, bundle, in seconds."""

import socket
import ssl
from collections.abc import Iterator

from cryptography.hazmat.primitives.serialization import Encoding

from src.engines.openfl.introduction import introduce
from src.preflight.finding import Examination, State
from src.trust import fingerprint, members

TIMEOUT_S = 5.0


def line(examination: Examination) -> Iterator[tuple[State, str]]:
    """Try the connection step by step; the first step that fails is named, with the reason."""
    if examination.name is None:
        return
    host, port = examination.address
    for step in (_resolve, _connect, _handshake, _introduce):
        problem = step(examination, host, port)
        if problem:
            yield "fail", problem
            return
    yield "ok", f"{host}:{port} is the aggregator, and it runs what this site has approved"


def _resolve(examination: Examination, host: str, port: int) -> str | None:
    try:
        socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        return f"the name {host} is unknown here ({error}). Ask your network's administrator."
    return None


def _connect(examination: Examination, host: str, port: int) -> str | None:
    try:
        socket.create_connection((host, port), TIMEOUT_S).close()
    except ConnectionRefusedError:
        text = f"{host} is up, but nobody listens on port {port}. Has the aggregator been started?"
        if host == "localhost":
            text += " localhost is this machine: for another one the desk builds with --address."
        return text
    except OSError as error:
        return (
            f"no connection to {host}, port {port}, within {TIMEOUT_S:.0f} s ({error}). A "
            f"firewall? Needed: outgoing TCP to port {port}; nothing incoming."
        )
    return None


def _handshake(examination: Examination, host: str, port: int) -> str | None:
    context = ssl.create_default_context(cafile=str(examination.workspace / members.CHAIN_FILE))
    context.set_alpn_protocols(["h2"])
    own = examination.workspace / "cert" / "client" / f"col_{examination.name}.crt"
    context.load_cert_chain(own, own.with_suffix(".key"))
    try:
        with (
            socket.create_connection((host, port), TIMEOUT_S) as plain,
            context.wrap_socket(plain, server_hostname=host) as secure,
        ):
            shown = secure.getpeercert(binary_form=True)
            if not secure.recv(1):  # only now: TLS 1.3 refuses a client after the handshake
                raise ConnectionResetError("it hung up when it saw it")
    except ssl.SSLCertVerificationError as error:
        return (
            f"whoever answers at {host}:{port} cannot prove to be the aggregator: "
            f"{error.verify_message}. A proxy that opens TLS, or a wrong address. Do not go on."
        )
    except (ssl.SSLError, ConnectionResetError) as error:
        reason = getattr(error, "reason", None) or error
        return f"{host}:{port} refuses this site's certificate: {reason}. Ask the desk."
    except OSError as error:
        return f"{host}:{port} does not speak TLS as an aggregator does ({error})."
    expected = examination.members.aggregator.certificate
    if shown != expected.public_bytes(Encoding.DER):
        return (
            f"{host}:{port} holds a good certificate, but not the one in the member list "
            f"({fingerprint.of_certificate(expected)[:16]}…): an older one? Ask the desk."
        )
    return None


def _introduce(examination: Examination, host: str, port: int) -> str | None:
    """Whether the aggregator takes this site, and what this site has approved."""
    if examination.name is None:
        return None
    return introduce(
        examination.workspace, examination.name, examination.members, host, port, TIMEOUT_S
    )
