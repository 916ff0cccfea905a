"""The line to the aggregator, tried step by step as gRPC would use it: name, port, proxy, TLS."""

import hashlib
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from src.errors import AggregatorUnreachable
from src.network import proxy, tls

TIMEOUT_S = 5.0


@dataclass(frozen=True)
class Line:
    """environ: where gRPC reads the proxy's variables."""

    host: str
    port: int
    credentials: tls.Credentials
    environ: Mapping[str, str]

    @property
    def place(self) -> str:
        """The aggregator's address, in words."""
        return f"{self.host}:{self.port}"

    @property
    def way(self) -> proxy.Way:
        """How gRPC reaches it: directly, or through a proxy."""
        return proxy.way(self.host, self.environ)

    def check(self, now: datetime) -> None:
        """AggregatorUnreachable: the first step that fails, with the reason and what to do."""
        with self._connected() as connection:
            shown = tls.shake(connection, self.credentials, self.host, self.place, now)
        expected = self.credentials.expected
        if shown != expected:
            raise AggregatorUnreachable(
                f"{self.place} holds a good certificate, but not the one in the member list "
                f"({hashlib.sha256(expected).hexdigest()[:16]}…): an older one? Ask the desk."
            )

    def _connected(self) -> socket.socket:
        way = self.way
        if way.proxy is not None:
            return proxy.tunnel(way.proxy, self.host, self.port, TIMEOUT_S)
        try:
            return self._direct()
        except AggregatorUnreachable as error:
            if not way.misread:
                raise
            raise AggregatorUnreachable(f"{error} It was tried {way.words}.") from None

    def _direct(self) -> socket.socket:
        host, port = self.host, self.port
        try:
            socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise AggregatorUnreachable(
                f"the name {host} is unknown here ({error}). Ask your network's administrator."
            ) from None
        try:
            return socket.create_connection((host, port), TIMEOUT_S)
        except ConnectionRefusedError:
            text = f"{host} is up, but nobody listens on port {port}. Has the aggregator been "
            text += "started?"
            if host == "localhost":
                text += " localhost is this machine: for another the desk builds with --address."
            raise AggregatorUnreachable(text) from None
        except OSError as error:
            raise AggregatorUnreachable(
                f"no connection to {host}, port {port}, within {TIMEOUT_S:.0f} s ({error}). A "
                f"firewall? Needed: outgoing TCP to port {port}; nothing incoming."
            ) from None
