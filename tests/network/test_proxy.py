"""The proxy that gRPC takes, compared with gRPC itself; and what each proxy's answer means."""

import socket

import grpc
import pytest

from src.errors import AggregatorUnreachable
from src.network.proxy import Proxy, tunnel, way
from tests.network.conftest import ConnectProxy, serving
from tests.patience import HANG_S

HOST = "agg.klinik.example"
PROXY = "http://127.0.0.1:PORT"
LOCAL = Proxy("127.0.0.1", 1, "https_proxy", "no_proxy")

# what stands in the environment -> whether gRPC 1.65 goes through the proxy
ENVIRONMENTS = [
    ({"grpc_proxy": PROXY}, True),
    ({"https_proxy": PROXY}, True),
    ({"http_proxy": PROXY}, True),
    ({"https_proxy": f"{PROXY}/"}, True),
    ({"https_proxy": f"{PROXY} "}, True),
    ({"https_proxy": "http://name:password@127.0.0.1:PORT"}, True),
    ({"HTTPS_PROXY": PROXY}, False),
    ({"HTTP_PROXY": PROXY}, False),
    ({"GRPC_PROXY": PROXY}, False),
    ({"all_proxy": PROXY, "ALL_PROXY": PROXY}, False),
    ({"https_proxy": "127.0.0.1:PORT"}, False),
    ({"https_proxy": "localhost:PORT"}, False),
    ({"https_proxy": "https://127.0.0.1:PORT"}, False),
    ({"https_proxy": "HTTP://127.0.0.1:PORT"}, False),
    ({"https_proxy": "socks5://127.0.0.1:PORT"}, False),
    ({"https_proxy": "http:/127.0.0.1:PORT"}, False),
    ({"https_proxy": f" {PROXY}"}, False),
    ({"https_proxy": "http://name:p%40ss@127.0.0.1:PORT"}, False),
    ({"https_proxy": "http://na@me:password@127.0.0.1:PORT"}, False),
    ({"https_proxy": "", "http_proxy": PROXY}, False),
    ({"grpc_proxy": "", "https_proxy": PROXY}, False),
    ({"https_proxy": "http://", "http_proxy": PROXY}, False),
    ({"https_proxy": PROXY, "no_proxy": HOST}, False),
    ({"https_proxy": PROXY, "no_proxy": "AGG.Klinik.Example"}, False),
    ({"https_proxy": PROXY, "no_proxy": ".klinik.example"}, False),
    ({"https_proxy": PROXY, "no_proxy": "inik.example"}, False),
    ({"https_proxy": PROXY, "no_proxy": f"x, {HOST} "}, False),
    ({"https_proxy": PROXY, "no_proxy": "x, ,y"}, False),
    ({"https_proxy": PROXY, "no_grpc_proxy": HOST}, False),
    ({"https_proxy": PROXY, "NO_PROXY": HOST}, True),
    ({"https_proxy": PROXY, "no_proxy": ""}, True),
    ({"https_proxy": PROXY, "no_proxy": "*"}, True),
    ({"https_proxy": PROXY, "no_proxy": "*.klinik.example"}, True),
    ({"https_proxy": PROXY, "no_proxy": f"{HOST}:39731"}, True),
    ({"https_proxy": PROXY, "no_proxy": f"x;{HOST}"}, True),
    ({"https_proxy": PROXY, "no_grpc_proxy": "", "no_proxy": HOST}, True),
]


@pytest.mark.parametrize(("variables", "through"), ENVIRONMENTS)
def test_the_kit_reads_the_environment_as_grpc_does(no_proxies, variables, through):
    proxy = ConnectProxy({}, b"HTTP/1.1 403 Forbidden\r\n\r\n")
    with serving(proxy.answer) as port:
        environ = {name: value.replace("PORT", str(port)) for name, value in variables.items()}
        for name, value in environ.items():
            no_proxies.setenv(name, value)
        credentials = grpc.ssl_channel_credentials()
        channel = grpc.secure_channel(f"{HOST}:39731", credentials)
        with channel, pytest.raises(grpc.RpcError):
            channel.unary_unary("/kit/Ping")(b"", timeout=HANG_S)
    assert bool(proxy.asked) == through
    found = way(HOST, environ)
    assert (found.proxy is not None) == through
    if through:
        variable = next(
            name for name in ("grpc_proxy", "https_proxy", "http_proxy") if name in environ
        )
        assert found.words == f"through the proxy 127.0.0.1:{port}, from the variable {variable}"
    assert "password" not in found.words.replace("NAME:PASSWORD", "").replace("the password", "")


def test_a_variable_in_capitals_is_named_as_one_that_grpc_does_not_read():
    found = way(HOST, {"HTTPS_PROXY": "http://proxy:3128"})
    assert found.misread
    assert "directly: gRPC does not read HTTPS_PROXY" in found.words


def test_a_variable_that_grpc_cannot_use_is_named_with_the_form_that_it_can():
    found = way(HOST, {"https_proxy": "proxy.klinik.example:3128"})
    assert found.misread
    assert "gRPC cannot use https_proxy. Expected http://HOST:PORT" in found.words


def test_nothing_is_said_where_no_variable_is_set():
    assert way(HOST, {}).words == "directly"


def test_a_password_of_the_proxy_is_shown_nowhere():
    found = way(HOST, {"https_proxy": "http://name:secret@proxy.example:3128"})
    assert found.proxy is not None
    assert found.proxy.credentials == "name:secret"
    for shown in (repr(found), str(found), repr(found.proxy), str(found.proxy), found.words):
        assert "secret" not in shown
    unusable = way(HOST, {"https_proxy": "http://name:sec@ret@proxy.example:3128"})
    assert "sec@ret" not in repr(unusable)


def through(answer, **of_proxy) -> str:
    """What is told of a proxy that answers so."""
    with serving(answer) as port:
        proxy = Proxy("127.0.0.1", port, "https_proxy", "no_proxy", **of_proxy)
        with pytest.raises(AggregatorUnreachable) as told:
            tunnel(proxy, HOST, 39731, HANG_S).close()
    return str(told.value)


def refusing(status: str):
    return ConnectProxy({}, f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode()).answer


def test_a_proxy_that_is_not_there():
    with pytest.raises(AggregatorUnreachable) as told:
        tunnel(LOCAL, HOST, 39731, HANG_S)
    text = str(told.value)
    assert "connection to the proxy 127.0.0.1:1, from the variable https_proxy, failed" in text
    assert f"add {HOST} to no_proxy" in text


def test_a_proxy_whose_name_is_unknown():
    with pytest.raises(AggregatorUnreachable, match="connection to the proxy no-such-host"):
        tunnel(Proxy("no-such-host.invalid", 1, "http_proxy", "no_proxy"), HOST, 39731, HANG_S)


def test_a_proxy_that_wants_a_password():
    text = through(refusing("407 Proxy Authentication Required"))
    assert "answers 407 Proxy Authentication Required: it asks for a name and a password" in text


def test_a_proxy_that_does_not_take_the_password():
    text = through(refusing("407 Nein"), credentials="name:secret")
    assert "does not take the name and password in https_proxy" in text
    assert "secret" not in text


@pytest.mark.parametrize("status", ["403 Forbidden", "405 Method Not Allowed", "400 Bad Request"])
def test_a_proxy_that_lets_nobody_through(status):
    text = through(refusing(status))
    assert f"answers {status}: it does not let anybody through to {HOST}:39731" in text


@pytest.mark.parametrize("status", ["502 Bad Gateway", "503 Unavailable", "504 Timeout"])
def test_a_proxy_that_cannot_reach_the_aggregator_itself(status):
    assert f"answers {status}: it cannot reach {HOST}:39731 itself" in through(refusing(status))


@pytest.mark.parametrize("words", [b"SSH-2.0-OpenSSH_9.2\r\n", b"", b"\x15\x03\x01\0\2\2\x46"])
def test_something_that_is_no_proxy(words):
    def answer(connection: socket.socket) -> None:
        connection.sendall(words)

    assert "does not speak as one" in through(answer)


def test_what_a_proxy_says_is_shown_printable():
    assert r"\x1b[2K" in through(refusing("403 \x1b[2K"))


def test_no_more_is_read_than_the_proxys_own_answer():
    def answer(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\nSSH-2.0-far")
        connection.recv(1)

    with serving(answer) as port:
        proxy = Proxy("127.0.0.1", port, "https_proxy", "no_proxy")
        with tunnel(proxy, HOST, 39731, HANG_S) as connection:
            assert connection.recv(4096) == b"SSH-2.0-far"
