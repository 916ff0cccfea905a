"""Whoever answers in the aggregator's place is told by name: real servers on real sockets."""

import socket
import ssl
import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from src.errors import AggregatorUnreachable
from src.network import line as module
from src.network import strangers
from src.network.line import Line
from src.network.tls import Credentials
from tests.network.conftest import ConnectProxy, serving, wait_for_the_end
from tests.patience import HANG_S

NOW = datetime.now(UTC).replace(microsecond=0)
DAY = timedelta(days=1)
ALERTS = {42: "bad_certificate", 44: "revoked", 45: "expired", 46: "unknown", 48: "unknown_ca"}


def certificate(
    name: str,
    key: rsa.RSAPrivateKey,
    issuer: tuple[x509.Certificate, rsa.RSAPrivateKey] | None = None,
    begin: datetime = NOW - DAY,
    end: datetime = NOW + 90 * DAY,
) -> x509.Certificate:
    """One for a party; an authority's own without an issuer."""
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer[0].subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    )
    return builder.sign(issuer[1] if issuer else key, hashes.SHA256())


@dataclass(frozen=True)
class Desk:
    """Keys are made once: they take half a second each."""

    folder: Path
    keys: dict[str, rsa.RSAPrivateKey]

    def write(self, name: str, *certificates: x509.Certificate, key: str) -> Path:
        path = self.folder / f"{name}.crt"
        path.write_bytes(b"".join(each.public_bytes(Encoding.PEM) for each in certificates))
        pem = self.keys[key].private_bytes(
            Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()
        )
        path.with_suffix(".key").write_bytes(pem)
        return path

    def issue(self, name: str, authority: str = "root", **dates: datetime) -> Path:
        root = certificate(
            authority, self.keys[authority], begin=NOW - 999 * DAY, end=NOW + 999 * DAY
        )
        leaf = certificate(name, self.keys["leaf"], (root, self.keys[authority]), **dates)
        self.write(authority, root, key=authority)
        return self.write(f"{name}-by-{authority}", leaf, key="leaf")


@pytest.fixture(scope="module")
def keys():
    return {name: rsa.generate_private_key(65537, 2048) for name in ("root", "other", "leaf")}


@pytest.fixture
def desk(tmp_path, keys):
    return Desk(tmp_path, keys)


@pytest.fixture
def line(desk, monkeypatch):
    """line(port): a site's, to an aggregator that the member list names."""
    monkeypatch.setattr(module, "TIMEOUT_S", HANG_S)
    expected = x509.load_pem_x509_certificate(desk.issue("localhost").read_bytes())
    credentials = Credentials(
        certificate=desk.issue("one"),
        authorities=desk.folder / "root.crt",
        expected=expected.public_bytes(Encoding.DER),
    )
    return lambda port, **environ: Line("localhost", port, credentials, environ)


@pytest.fixture
def told(line):
    """told(answer): what is said of a server that answers so."""

    def look(answer: Callable[[socket.socket], object], now: datetime = NOW) -> str:
        with serving(answer) as port, pytest.raises(AggregatorUnreachable) as found:
            line(port).check(now)
        return str(found.value)

    return look


def tls_server(path: Path, **how) -> Callable[[socket.socket], object]:
    """Speaks TLS with this certificate, and asks for the site's."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path, path.with_suffix(".key"))
    context.set_alpn_protocols(["h2"])
    if "authorities" in how:
        context.load_verify_locations(how["authorities"])
        context.verify_mode = ssl.CERT_REQUIRED
    if "newest" in how:
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = how["newest"]

    def answer(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secure:
            secure.sendall(b"\0")
            secure.recv(1)

    return answer


def saying(words: bytes, *, first: bool = False) -> Callable[[socket.socket], object]:
    """Says so at once, or in answer to the first bytes; then waits."""

    def answer(connection: socket.socket) -> None:
        if not first:
            connection.recv(4096)
        connection.sendall(words)
        wait_for_the_end(connection)

    return answer


def test_the_aggregator_is_taken_for_it(line, desk):
    with serving(tls_server(desk.folder / "localhost-by-root.crt")) as port:
        line(port).check(NOW)


CLEAR = [
    (saying(b"HTTP/1.0 400 Bad Request\r\n\r\n"), "an HTTP server"),
    (saying(b"<html><title>400</title>"), "a web server"),
    (saying(b"SSH-2.0-OpenSSH_9.2\r\n", first=True), "an SSH server"),
    (saying(b"220 mail.klinik.example ESMTP\r\n", first=True), "a mail or FTP server"),
    (saying(b"* OK IMAP4rev1\r\n", first=True), "a mail server"),
    (saying(b"\0\0\x12\4\0\0\0\0\0\0\3\0\0\0\x64", first=True), "HTTP/2 without TLS"),
    (saying(b"\x4a\0\0\0\x0a8.0.36", first=True), "something else"),
]


@pytest.mark.parametrize(("answer", "what"), CLEAR)
def test_what_does_not_speak_tls_is_said_to_be_what_it_is(told, answer, what):
    text = told(answer)
    assert "does not speak TLS" in text
    assert what in text
    assert "must pass TCP through" in text
    assert "refuses" not in text


def test_what_it_says_is_shown_printable(told):
    assert r"(it says \x1b[2K is hidden)" in told(saying(b"\x1b[2K is hidden"))


def test_a_silent_port(told, monkeypatch):
    monkeypatch.setattr(module, "TIMEOUT_S", 1.0)

    assert "takes the connection and says nothing: no TLS on that port" in told(wait_for_the_end)


def test_one_that_falls_silent_in_the_handshake(told, monkeypatch):
    monkeypatch.setattr(module, "TIMEOUT_S", 1.0)
    begun = b"\x16\x03\x03\0\x50\2"
    assert "takes the connection and says nothing" in told(saying(begun, first=True))
    assert "and says nothing more: " in strangers.silent("there", begun, verified=False)


def test_one_that_hangs_up_at_once(told):
    assert "hangs up at once" in told(lambda connection: connection.recv(4096))


def test_one_that_resets_the_connection(told):
    def answer(connection: socket.socket) -> None:
        connection.recv(1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    assert "hangs up at once" in told(answer)


def test_one_that_hangs_up_in_the_handshake(told):
    def answer(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(b"\x16\x03\x03\0\x50\2")

    assert "hangs up in the middle of the TLS handshake" in told(answer)


def test_an_old_tls_alone(told, desk):
    text = told(tls_server(desk.folder / "localhost-by-root.crt", newest=ssl.TLSVersion.TLSv1_1))
    assert "speaks an older TLS than 1.2 alone" in text


def test_a_certificate_of_another_authority(told, desk):
    text = told(tls_server(desk.issue("localhost", "other")))
    assert "cannot prove to be the aggregator" in text
    assert "a proxy that opens TLS, or a load balancer with a certificate of its own" in text
    assert "Do not go on" in text


def test_a_certificate_for_another_name(told, desk):
    text = told(tls_server(desk.issue("elsewhere")))
    assert "is of this federation, but for another name" in text


def test_another_certificate_of_the_aggregators(told, desk):
    older = desk.issue("localhost", begin=NOW - 2 * DAY)
    assert "but not the one in the member list" in told(tls_server(older))


@pytest.mark.parametrize(
    ("begin", "end", "words"),
    [
        (NOW - 9 * DAY, NOW - DAY, "certificate has expired"),
        (NOW + DAY, NOW + 9 * DAY, "certificate is not yet valid"),
    ],
)
def test_a_time_that_does_not_fit_asks_for_the_clock(told, desk, begin, end, words):
    text = told(tls_server(desk.issue("localhost", begin=begin, end=end)))
    assert words in text
    assert "is this clock right?" in text
    assert "Do not go on" not in text


def test_an_aggregator_of_another_federation_refuses_this_site(told, desk):
    server = tls_server(
        desk.folder / "localhost-by-root.crt",
        authorities=desk.issue("x", "other").with_name("other.crt"),
    )
    text = told(server)
    assert "the aggregator at localhost:" in text
    assert "refuses this site's certificate: it does not know the authority" in text


def test_an_aggregator_by_whose_clock_this_site_has_expired(told, desk, line):
    expired = desk.issue("one", begin=NOW - 9 * DAY, end=NOW - DAY)
    server = tls_server(desk.folder / "localhost-by-root.crt", authorities=desk.folder / "root.crt")
    assert expired.name == "one-by-root.crt"  # the line's own
    text = told(server)
    assert "refuses this site's certificate: it has expired by the aggregator's clock" in text
    assert "is this clock right?" in text


@pytest.mark.parametrize("number", ALERTS)
def test_an_alert_of_somebody_unproved_is_no_refusal_of_the_aggregators(told, number):
    text = told(saying(b"\x15\x03\x03\0\2\2" + bytes([number])))
    assert "ends TLS with the alert" in text
    assert "before it has proved to be the aggregator" in text
    assert "refuses" not in text


@pytest.mark.parametrize("number", [40, 80, 112, 120])
def test_other_alerts_are_quoted(told, number):
    assert "something in between" in told(saying(b"\x15\x03\x03\0\2\2" + bytes([number])))


def test_a_name_that_only_the_proxy_knows_is_reached_through_it(desk, line):
    found = line(39731)
    host = "agg.klinik.example"
    expected = x509.load_pem_x509_certificate(desk.issue(host).read_bytes())
    with serving(tls_server(desk.folder / f"{host}-by-root.crt")) as port:
        proxy = ConnectProxy({host: ("127.0.0.1", port)})
        with serving(proxy.answer) as at:
            environ = {"https_proxy": f"http://127.0.0.1:{at}"}
            credentials = replace(found.credentials, expected=expected.public_bytes(Encoding.DER))
            Line(host, 39731, credentials, environ).check(NOW)
            with pytest.raises(AggregatorUnreachable, match="is unknown here"):
                Line(host, 39731, credentials, {}).check(NOW)
            with pytest.raises(AggregatorUnreachable, match="gRPC does not read HTTPS_PROXY"):
                Line(host, 39731, credentials, {"HTTPS_PROXY": environ["https_proxy"]}).check(NOW)
    assert proxy.asked[0].startswith(b"CONNECT agg.klinik.example:39731 HTTP/1.1\r\n")


def test_a_banner_behind_a_proxy_is_told_as_well(line):
    with serving(saying(b"SSH-2.0-far\r\n", first=True)) as port:
        proxy = ConnectProxy({"localhost": ("127.0.0.1", port)})
        with serving(proxy.answer) as at, pytest.raises(AggregatorUnreachable, match="SSH server"):
            line(port, https_proxy=f"http://127.0.0.1:{at}").check(NOW)
