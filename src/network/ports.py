"""A port to listen on: whether it is free on every interface, and who has it."""

import errno
import os
import socket
import time
from pathlib import Path

import psutil

from src.errors import PortTaken
from src.printable import printable

PATIENCE_S = 5.0  # for a process that is ending
POLL_S = 0.1
MOST_WORDS = 120  # characters of another program's command
UNPRIVILEGED = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")
NO_IPV6 = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


def refuse_taken(port: int, patience_s: float = PATIENCE_S) -> None:
    """PortTaken: nothing can listen on the port here, on all interfaces; the message says why.

    (gRPC is content with IPv4 where a program has the port on IPv6: sites would be parted by it.)
    """
    deadline = time.monotonic() + patience_s
    while True:
        try:
            _listen(port)
            return
        except OSError as error:
            if error.errno != errno.EADDRINUSE or time.monotonic() > deadline:
                raise PortTaken(_why(port, error)) from None
        time.sleep(POLL_S)


def _listen(port: int) -> None:
    """Listen for a moment, as gRPC does: on all addresses of IPv6 and IPv4, or of IPv4 alone."""
    if socket.has_dualstack_ipv6():
        try:
            socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True).close()
            return
        except OSError as error:
            if error.errno not in NO_IPV6:
                raise
    socket.create_server(("0.0.0.0", port)).close()


def _why(port: int, error: OSError) -> str:
    if error.errno in (errno.EACCES, errno.EPERM):
        least = int(UNPRIVILEGED.read_text(encoding="utf-8")) if UNPRIVILEGED.is_file() else 1024
        return (
            f"port {port} may not be opened by this user (uid {os.getuid()}): ports below {least} "
            "are for root. Have the desk build the workspace with a --port above, or give the "
            "aggregator the capability CAP_NET_BIND_SERVICE."
        )
    if error.errno != errno.EADDRINUSE:
        return f"port {port} cannot be listened on: {error.strerror or error}."
    return (
        f"port {port} is in use by {_users(port)}. Two programs cannot share it: sites would reach "
        "now one, now the other. End that one, or have the desk build the workspace with another "
        "--port."
    )


def _users(port: int) -> str:
    """Who has the port: those who listen on it, else those whose connections begin there."""
    found = [c for c in psutil.net_connections("tcp") if c.laddr and c.laddr.port == port]
    users = [
        f"{_process(c.pid)}, on {c.laddr.ip}"
        for c in found
        if c.laddr and c.status == psutil.CONN_LISTEN
    ]
    users = users or [f"a connection of {_process(c.pid)}" for c in found]
    return "; ".join(dict.fromkeys(users)) or "a program that cannot be seen from here"


def _process(number: int | None) -> str:
    """A process in words: its number, its command, and where it was started."""
    if number is None:
        return "another user's program (as root: ss -ltnp)"
    try:
        process = psutil.Process(number)
        command = printable(" ".join(process.cmdline()) or process.name())
        if len(command) > MOST_WORDS:
            command = f"…{command[-MOST_WORDS:]}"
        return f"process {number} ({command}) in {printable(process.cwd())}"
    except psutil.Error:  # it has ended, or does not let this user look
        return f"process {number}"
