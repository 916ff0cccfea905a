"""A port: taken on any interface, by any program, or not for this user; and who has it."""

import os
import socket
import subprocess
import sys

import pytest

from src.errors import PortTaken
from src.network import ports

ANYWHERE = [
    (socket.AF_INET, "127.0.0.1"),
    (socket.AF_INET, "127.0.0.7"),
    (socket.AF_INET, "0.0.0.0"),
    (socket.AF_INET6, "::1"),
    (socket.AF_INET6, "::"),
]


def listening(family: int, address: str, *, shared: bool = False) -> socket.socket:
    """A program's socket, on IPv6 alone or on IPv4 alone; shared: others may have the port too."""
    listener = socket.socket(family)
    if family == socket.AF_INET6:
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    if shared:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.bind((address, 0))
    listener.listen()
    return listener


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize(("family", "address"), ANYWHERE)
def test_a_port_that_is_taken_on_any_interface_is_taken(family, address, shared):
    with listening(family, address, shared=shared) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(PortTaken, match=rf"port {port} is in use by process {os.getpid()} "):
            ports.refuse_taken(port, patience_s=0)
    ports.refuse_taken(port)


def test_the_program_is_named_with_its_command_and_folder(tmp_path):
    code = "import socket; s = socket.create_server(('', 0)); print(s.getsockname()[1]); input()"
    command = [sys.executable, "-u", "-c", code, "\x1b[2K"]
    with subprocess.Popen(
        command, cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        port = int(other.stdout.readline())
        with pytest.raises(PortTaken) as told:
            ports.refuse_taken(port, patience_s=0)
        other.communicate("\n")
    text = str(told.value)
    assert f"process {other.pid} (" in text
    assert rf"\x1b[2K) in {tmp_path}, on 0.0.0.0" in text


def test_a_port_from_which_a_connection_goes_out_is_taken_too():
    with socket.create_server(("127.0.0.1", 0)) as far, socket.socket() as near:
        near.connect(far.getsockname())
        port = near.getsockname()[1]
        with pytest.raises(PortTaken, match=rf"a connection of process {os.getpid()}"):
            ports.refuse_taken(port, patience_s=0)


def test_a_program_that_is_ending_is_waited_for():
    code = "import socket; s = socket.create_server(('', 0)); print(s.getsockname()[1]); input()"
    with subprocess.Popen(
        [sys.executable, "-u", "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdin is not None
        port = int(other.stdout.readline())
        other.stdin.write("\n")
        other.stdin.flush()
        ports.refuse_taken(port, patience_s=60)


def told_to_a_user(port: int) -> str:
    """What a user who is not root is told of the port; nothing where it may be opened."""
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        told = ""
        try:
            if os.getuid() == 0:
                os.setgroups([])
                os.setresuid(65534, 65534, 65534)
            ports.refuse_taken(port, patience_s=0)
        except PortTaken as error:
            told = str(error)
        finally:
            os.write(theirs, told.encode())
            os._exit(0)
    os.close(theirs)
    with os.fdopen(ours) as pipe:
        told = pipe.read()
    os.waitpid(child, 0)
    return told


def test_a_port_that_is_not_for_this_user_is_told_from_one_that_is_taken():
    least = int(ports.UNPRIVILEGED.read_text(encoding="utf-8"))
    if least <= 1:  # a machine that gives every port to everybody
        assert told_to_a_user(1) == ""
        return
    text = told_to_a_user(1)
    assert "port 1 may not be opened by this user (uid" in text
    assert f"ports below {least} are for root. Have the desk build the workspace" in text
    assert "in use" not in text
