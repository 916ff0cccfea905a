"""Servers of all sorts on a port of this machine, and proxies: real sockets, real TLS."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.patience import HANG_S


@contextmanager
def serving(answer: Callable[[socket.socket], object], port: int = 0) -> Iterator[int]:
    """A server whose every connection gets `answer` in a thread of its own; gives its port."""
    listener = socket.create_server(("127.0.0.1", port))

    def take(connection: socket.socket) -> None:
        connection.settimeout(HANG_S)
        with connection:
            try:
                answer(connection)
            except OSError:
                return

    def run() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=take, args=(connection,), daemon=True).start()

    threading.Thread(target=run, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def wait_for_the_end(connection: socket.socket) -> None:
    """Until the other side hangs up."""
    while connection.recv(65_536):
        pass


def head_of(connection: socket.socket) -> bytes:
    """All up to the empty line."""
    head = b""
    while not head.endswith(b"\r\n\r\n") and (byte := connection.recv(1)):
        head += byte
    return head


def pump(source: socket.socket, target: socket.socket) -> None:
    """All that comes, until either side ends."""
    try:
        while piece := source.recv(65_536):
            target.sendall(piece)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        return


class ConnectProxy:
    """A proxy of the house: knows names that nobody else knows, and notes what it is asked.

    names: {host: (address, port)} of its own. refusal: its answer instead of a tunnel.
    """

    def __init__(self, names: dict[str, tuple[str, int]], refusal: bytes = b"") -> None:
        self.names = names
        self.refusal = refusal
        self.asked: list[bytes] = []

    def answer(self, connection: socket.socket) -> None:
        """One CONNECT."""
        head = head_of(connection)
        self.asked.append(head)
        if self.refusal:
            connection.sendall(self.refusal)
            return
        host = head.split()[1].decode().rpartition(":")[0]
        with socket.create_connection(self.names[host], HANG_S) as far:
            connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=pump, args=(far, connection), daemon=True)
            back.start()
            pump(connection, far)
            back.join(HANG_S)


@pytest.fixture
def no_proxies(monkeypatch):
    """An environment without a proxy."""
    for name in ("grpc_proxy", "https_proxy", "http_proxy", "all_proxy", "no_grpc_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    return monkeypatch
