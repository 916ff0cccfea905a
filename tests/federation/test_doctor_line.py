"""The doctor's line: each thing that can be wrong between a site and its aggregator, by name."""

import socket
import ssl
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from openfl.cryptography.ca import generate_root_cert, sign_certificate
from openfl.cryptography.participant import generate_csr

from certs.authority import Authority
from scripts.attack.targets import pem
from scripts.local.enrol import approve
from scripts.local.processes import running, wait_for_port
from src.errors import AggregatorUnreachable
from src.network.line import Line
from src.network.tls import Credentials
from src.preflight import doctor
from src.preflight.connection import line
from src.preflight.finding import Examination
from src.trust import members
from src.trust.certificate import AGGREGATOR, utc_now
from tests.federation.conftest import Federation, copy_of
from tests.network.conftest import ConnectProxy, serving, wait_for_the_end

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [pytest.mark.federation]


def look(federation, site: str = "one", ahead: timedelta = timedelta()) -> tuple[str, str]:
    """The one finding about a site's connection, or the first of two. ahead: its clock is so."""
    examination = Examination(federation.sites[site], site, datetime.now(UTC) + ahead)
    first, *_ = doctor._apply("line", line, examination, {})
    return first.state, first.text


def port_of(federation) -> int:
    return federation.plan["network"]["settings"]["agg_port"]


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch):
    for name in ("grpc_proxy", "https_proxy", "http_proxy", "no_grpc_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    return monkeypatch


# -- what answers in the aggregator's place: (what is there, the doctor's words) ------------------


@contextmanager
def posing(federation, identity) -> Iterator[None]:
    """Somebody else's gRPC server on the aggregator's port."""
    server = grpc.server(ThreadPoolExecutor(1))
    chain = (federation.sites["one"] / "cert" / "cert_chain.crt").read_bytes()
    credentials = grpc.ssl_server_credentials([identity], chain, True)
    server.add_secure_port(f"localhost:{port_of(federation)}", credentials)
    server.start()
    try:
        yield
    finally:
        server.stop(0)


def of_another_authority(federation):
    root_key, root = generate_root_cert()
    key, csr = generate_csr("localhost", server=True)
    return posing(federation, pem(key, sign_certificate(csr, root_key, root.subject)))


def of_this_authority(days: float = 0, name: str = "localhost"):
    """A certificate that the desk has issued so many days ago."""

    def pose(federation):
        folder = federation.folder / "desk"
        passphrase = (folder / "passphrase").read_bytes()
        clock = lambda: utc_now() - timedelta(days=days)  # noqa: E731
        authority = Authority(folder, lambda: passphrase, clock)
        key, csr = generate_csr(name, server=True)
        return posing(federation, pem(key, authority.issue(name, AGGREGATOR, csr.public_key())))

    return pose


def saying(words: bytes, *, first: bool = False, reset: bool = False):
    """A server that says so, before or after it has heard anything, and then hangs up."""

    def answer(connection: socket.socket) -> None:
        if not first:
            connection.recv(4096)
        if reset:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.sendall(words)
        if words:
            wait_for_the_end(connection)

    return lambda federation: serving(answer, port_of(federation))


def old_tls(federation):
    """Speaks no newer TLS than 1.1, with the aggregator's own certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    own = federation.aggregator / "cert" / "server" / "agg_localhost.crt"
    context.load_cert_chain(own, own.with_suffix(".key"))

    def answer(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secure:
            secure.recv(1)

    return serving(answer, port_of(federation))


def silent(federation):
    return serving(wait_for_the_end, port_of(federation))


POSED: dict[str, tuple[Callable, str]] = {
    "nobody": (lambda federation: nullcontext(), "nobody listens on port"),
    "HTTP": (saying(b"HTTP/1.0 400 Bad Request\r\n\r\n"), "does not speak TLS: an HTTP server"),
    "SSH": (saying(b"SSH-2.0-OpenSSH_9.2\r\n", first=True), "does not speak TLS: an SSH server"),
    "SMTP": (saying(b"220 mail ESMTP\r\n", first=True), "does not speak TLS: a mail"),
    "HTTP/2 in clear text": (
        saying(b"\0\0\x12\4\0\0\0\0\0\0\3\0\0\0\x64", first=True),
        "HTTP/2 without TLS, as behind a load balancer",
    ),
    "silence": (silent, "takes the connection and says nothing"),
    "the end at once": (saying(b""), "hangs up at once"),
    "a reset": (saying(b"", reset=True), "hangs up at once"),
    "an old TLS": (old_tls, "speaks an older TLS than 1.2 alone"),
    "an alert": (saying(b"\x15\x03\x03\0\2\2\x2a"), "before it has proved to be the aggregator"),
    "another authority": (of_another_authority, "A wrong address, a proxy that opens TLS"),
    "an older certificate": (of_this_authority(), "but not the one in the member list"),
    "an expired certificate": (of_this_authority(200), "is this clock right?"),
    "another name": (of_this_authority(name="elsewhere"), "but for another name"),
}


@pytest.fixture(scope="module")
def standing(enrolled, tmp_path_factory) -> Federation:
    """One for all posers: nothing of it is changed."""
    return copy_of(enrolled, tmp_path_factory.mktemp("standing"))


@pytest.mark.parametrize("fault", POSED)
def test_what_answers_in_the_aggregators_place_is_named(standing, fault):
    plant, words = POSED[fault]
    with plant(standing):
        state, text = look(standing)
    assert state == "fail"
    assert words in text
    assert "refuses" not in text


# -- proxies: (answer, words) ----------------------------------------------------------------------

PROXIES = {
    "no proxy there": (None, "connection to the proxy 127.0.0.1:1, from the variable https_proxy"),
    "a password asked for": (
        b"407 Proxy Authentication Required",
        "asks for a name and a password",
    ),
    "nobody let through": (b"403 Forbidden", "it does not let anybody through to localhost:"),
    "nobody reached": (b"502 Bad Gateway", "it cannot reach localhost:"),
}


@pytest.mark.parametrize("fault", PROXIES)
def test_a_proxy_in_the_way_is_named_with_its_variable(standing, no_proxies, fault):
    answer, words = PROXIES[fault]
    if answer is None:
        no_proxies.setenv("https_proxy", "http://127.0.0.1:1")
        state, text = look(standing)
    else:
        proxy = ConnectProxy({}, b"HTTP/1.1 " + answer + b"\r\n\r\n")
        with serving(proxy.answer) as port:
            no_proxies.setenv("https_proxy", f"http://127.0.0.1:{port}")
            state, text = look(standing)
    assert state == "fail"
    assert words in text
    assert "to no_proxy" in text
    assert "refuses" not in text


def test_an_unknown_name(federation):
    federation.change("network.agg_addr=no-such-host.invalid")
    state, text = look(federation)
    assert state == "fail"
    assert "the name no-such-host.invalid is unknown here" in text


# -- what the aggregator itself says ---------------------------------------------------------------


@contextmanager
def aggregator(federation):
    party = federation.start_aggregator()
    with running([party]):
        wait_for_port(party, port_of(federation))
        yield


def another_bundle(federation) -> tuple[str, str]:
    (federation.sites["two"] / "src" / "model_vector.py").write_text("# something else\n")
    approve(federation.sites["two"], "two")
    return look(federation, "two")


def revoked(federation) -> tuple[str, str]:
    federation.revoke("three")
    return look(federation, "three")


def a_clock_ahead(federation) -> tuple[str, str]:
    return look(federation, ahead=timedelta(minutes=10))


def a_variable_that_is_not_read(federation) -> tuple[str, str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
        return look(federation)


def a_foreign_certificate(federation) -> tuple[str, str]:
    """Tried without the doctor's other rules, which would tell it first."""
    root_key, root = generate_root_cert()
    key, csr = generate_csr("one")
    folder = federation.folder / "foreign"
    folder.mkdir()
    foreign = pem(key, sign_certificate(csr, root_key, root.subject))
    for suffix, content in zip(("key", "crt"), foreign, strict=True):
        (folder / f"one.{suffix}").write_bytes(content)
    own = members.read(federation.sites["one"], utc_now()).aggregator.certificate
    chain = federation.sites["one"] / members.CHAIN_FILE
    credentials = Credentials(folder / "one.crt", chain, own.public_bytes(Encoding.DER))
    with pytest.raises(AggregatorUnreachable) as told:
        Line("localhost", port_of(federation), credentials, {}).check(utc_now())
    return "fail", str(told.value)


SAID = {
    "another bundle": (
        another_bundle,
        "fail",
        "the aggregator refuses this site: two's approval is for bundle",
    ),
    "a revoked site": (revoked, "fail", "was revoked at"),
    "a certificate of another authority": (
        a_foreign_certificate,
        "fail",
        "hangs up when it has seen this site's certificate",  # gRPC sends no alert
    ),
    "a clock ahead": (a_clock_ahead, "warn", "ahead of the aggregator's"),
    "a proxy's variable that is not read": (
        a_variable_that_is_not_read,
        "warn",
        "gRPC does not read HTTPS_PROXY",
    ),
}


def test_what_the_aggregator_says_is_told_and_a_healthy_line_has_no_finding(federation, no_proxies):
    with aggregator(federation):
        state, text = look(federation)
        assert state == "ok", text
        assert "reached directly" in text
        for fault, (plant, expected, words) in SAID.items():
            state, text = plant(federation)
            assert (state, words in text) == (expected, True), (fault, text)

        proxy = ConnectProxy({"localhost": ("localhost", port_of(federation))})
        with serving(proxy.answer) as port:
            no_proxies.setenv("https_proxy", f"http://127.0.0.1:{port}")
            state, text = look(federation)
            assert state == "ok", text
            assert f"reached through the proxy 127.0.0.1:{port}, from the variable https" in text
            assert len(proxy.asked) == 2  # the doctor's own steps, and gRPC
            no_proxies.setenv("no_proxy", "localhost")
            assert look(federation)[0] == "ok"
            assert len(proxy.asked) == 2

        (federation.sites["one"] / "approvals" / "approval.json").unlink()
        command = [sys.executable, "-m", "src", "doctor", "-n", "one"]
        shown = subprocess.run(
            command, cwd=federation.sites["one"], capture_output=True, text=True, check=False
        )
        assert shown.returncode == 1
        assert "nothing is approved" in shown.stdout


def test_the_readme_tells_how_many_faults_of_the_line_are_planted():
    planted = len(POSED) + len(PROXIES) + len(SAID) + 2  # an unknown name, nothing approved
    assert f"and {planted} of {planted}, no false alarm" in (ROOT / "README.md").read_text("utf-8")
