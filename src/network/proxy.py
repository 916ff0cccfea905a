"""The proxy that gRPC takes to the aggregator, by the variables that it reads; and through it.

gRPC 1.65 (its HttpProxyMapper, http_proxy_mapper in its source) reads these variables in lower
case alone; the first that is set counts, even where its value is of no use. An exemption is the end
of a name, whatever stands before it; `*` means nothing.
"""

import base64
import http.client
import re
import socket
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from urllib.parse import unquote

from src.errors import AggregatorUnreachable
from src.printable import printable

VARIABLES = ("grpc_proxy", "https_proxy", "http_proxy")
EXEMPTIONS = ("no_grpc_proxy", "no_proxy")
UNREAD = ("GRPC_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "all_proxy")
PORT = 443  # where the variable names none
URI = re.compile(r"http://([^/?#\s]+)(?:[/?#].*)?\s*", re.ASCII)
MOST_REASON = 80  # characters of what a proxy says


@dataclass(frozen=True)
class Proxy:
    """variable: which one names it. exempt: the one that could name exceptions.

    credentials: name:password, which no message shows.
    """

    host: str
    port: int
    variable: str
    exempt: str
    credentials: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        return f"{self.host}:{self.port}, from the variable {self.variable}"


@dataclass(frozen=True)
class Way:
    """How gRPC reaches a host. proxy: None: directly. words: the same in words.

    misread: a variable is set that has not the effect that whoever set it may expect.
    """

    proxy: Proxy | None
    words: str
    misread: bool = False


def way(host: str, environ: Mapping[str, str]) -> Way:
    """The way that gRPC takes to the host in this environment."""
    variable = next((name for name in VARIABLES if name in environ), None)
    if variable is None:
        unread = [name for name in UNREAD if environ.get(name)]
        if not unread:
            return Way(None, "directly")
        names = ", ".join(VARIABLES)
        return Way(None, f"directly: gRPC does not read {unread[0]}, only {names}", misread=True)
    if not environ[variable]:
        return Way(None, f"directly: {variable} is empty")
    exempt = next((name for name in EXEMPTIONS if name in environ), EXEMPTIONS[-1])
    proxy = _proxy(environ[variable], variable, exempt)
    if proxy is None:
        return Way(
            None,
            f"directly: gRPC cannot use {variable}. Expected http://HOST:PORT or "
            "http://NAME:PASSWORD@HOST:PORT, without @ or % in the password",
            misread=True,
        )
    if _is_exempt(host, environ.get(exempt, "")):
        return Way(None, f"directly, by {exempt}, not through the proxy {proxy}")
    return Way(proxy, f"through the proxy {proxy}")


def _proxy(value: str, variable: str, exempt: str) -> Proxy | None:
    found = URI.fullmatch(value)
    *credentials, name = unquote(found[1]).split("@") if found else ["", "", ""]
    place = re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[^:\[\]]+)(?::(\d{1,5}))?", name, re.ASCII)
    if len(credentials) > 1 or place is None:
        return None
    host = printable(place[1].strip("[]"))
    return Proxy(host, int(place[2] or PORT), variable, exempt, *credentials)


def _is_exempt(host: str, listed: str) -> bool:
    entries = (entry.strip().lower() for entry in listed.split(",") if entry)
    return any(host.lower().endswith(entry) for entry in entries)


def tunnel(proxy: Proxy, host: str, port: int, timeout_s: float) -> socket.socket:
    """A connection to the host through the proxy. AggregatorUnreachable: why there is none."""
    try:
        connection = socket.create_connection((proxy.host, proxy.port), timeout_s)
    except (OSError, OverflowError) as error:
        raise AggregatorUnreachable(
            f"connection to the proxy {proxy}, failed ({error}): add {host} to {proxy.exempt}, if "
            f"it can be reached without; else put {proxy.variable} right."
        ) from None
    try:
        status, reason = _asked(connection, proxy, f"{host}:{port}")
    except (OSError, http.client.HTTPException) as error:
        connection.close()
        raise AggregatorUnreachable(
            f"what answers as the proxy {proxy}, does not speak as one ({_told(error)}): put "
            f"{proxy.variable} right, or add {host} to {proxy.exempt}."
        ) from None
    if 200 <= status < 300:
        return connection
    connection.close()
    raise AggregatorUnreachable(_refusal(proxy, host, port, status, reason))


class _Unbuffered:
    """A connection of which no more is read than the proxy's own answer."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def makefile(self, mode: str) -> socket.SocketIO:
        """What `HTTPResponse` asks for."""
        return self._connection.makefile(mode, buffering=0)  # type: ignore


def _asked(connection: socket.socket, proxy: Proxy, place: str) -> tuple[int, str]:
    """(status, reason) of the proxy's answer to CONNECT."""
    lines = [f"CONNECT {place} HTTP/1.1", f"Host: {place}"]
    if proxy.credentials is not None:
        encoded = base64.b64encode(proxy.credentials.encode()).decode()
        lines.append(f"Proxy-Authorization: Basic {encoded}")
    connection.sendall("\r\n".join([*lines, "", ""]).encode())
    response = http.client.HTTPResponse(_Unbuffered(connection), method="CONNECT")  # type: ignore
    with closing(response):
        response.begin()
        return response.status, printable(response.reason[:MOST_REASON])


def _told(error: Exception) -> str:
    return printable(str(error)[:MOST_REASON]) or type(error).__name__


def _refusal(proxy: Proxy, host: str, port: int, status: int, reason: str) -> str:
    """What the proxy's answer means, and what to do."""
    said = f"the proxy {proxy}, answers {status} {reason}".rstrip()
    if status == 407 and proxy.credentials is None:
        what = f"it asks for a name and a password: http://NAME:PASSWORD@{proxy.host}:{proxy.port}"
    elif status == 407:
        what = f"it does not take the name and password in {proxy.variable} (gRPC sends Basic)"
    elif status in (502, 503, 504):
        what = f"it cannot reach {host}:{port} itself. Does it know the name? Is the aggregator up?"
        return f"{said}: {what} If {host} can be reached without it, add that to {proxy.exempt}."
    else:
        what = f"it does not let anybody through to {host}:{port}. Ask its administrator to"
        return f"{said}: {what} allow CONNECT there, or add {host} to {proxy.exempt}."
    return f"{said}: {what}. If {host} can be reached without it, add that to {proxy.exempt}."
