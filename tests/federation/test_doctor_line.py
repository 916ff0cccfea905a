"""The doctor's line: each thing that can be wrong between a site and its aggregator, by name."""

import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime

import grpc
import pytest
from openfl.cryptography.ca import generate_root_cert, sign_certificate
from openfl.cryptography.participant import generate_csr

from certs.authority import Authority
from scripts.attack.targets import pem
from scripts.local.enrol import approve
from scripts.local.processes import running, wait_for_port
from src.preflight.connection import line
from src.preflight.finding import Examination
from src.trust.certificate import AGGREGATOR, utc_now

pytestmark = [pytest.mark.federation]


def look(federation, site: str = "one") -> tuple[str, str]:
    """The one finding about a site's connection."""
    (finding,) = line(Examination(federation.sites[site], site, datetime.now(UTC)))
    return finding


@contextmanager
def aggregator(federation):
    party = federation.start_aggregator()
    with running([party]):
        wait_for_port(party, federation.plan["network"]["settings"]["agg_port"])
        yield


@contextmanager
def posing(federation, identity):
    """Somebody else's server on the aggregator's port."""
    server = grpc.server(ThreadPoolExecutor(1))
    chain = (federation.sites["one"] / "cert" / "cert_chain.crt").read_bytes()
    port = federation.plan["network"]["settings"]["agg_port"]
    credentials = grpc.ssl_server_credentials([identity], chain, True)
    server.add_secure_port(f"localhost:{port}", credentials)
    server.start()
    try:
        yield
    finally:
        server.stop(0)


def test_the_right_aggregator_is_found_and_other_states_are_told(federation):
    with aggregator(federation):
        assert look(federation)[0] == "ok"

        (federation.sites["two"] / "src" / "model_vector.py").write_text("# something else\n")
        approve(federation.sites["two"], "two")
        state, text = look(federation, "two")
        assert state == "fail"
        assert "the aggregator refuses this site: two's approval is for bundle" in text

        federation.revoke("three")
        state, text = look(federation, "three")
        assert state == "fail"
        assert "was revoked at" in text

        (federation.sites["one"] / "approvals" / "approval.json").unlink()
        command = [sys.executable, "-m", "src", "doctor", "-n", "one"]
        shown = subprocess.run(
            command, cwd=federation.sites["one"], capture_output=True, text=True, check=False
        )
        assert shown.returncode == 1
        assert "nothing is approved" in shown.stdout


def test_an_unknown_name(federation):
    federation.change("network.agg_addr=no-such-host.invalid")
    state, text = look(federation)
    assert state == "fail"
    assert "the name no-such-host.invalid is unknown here" in text


def test_nobody_listens(federation):
    state, text = look(federation)
    assert state == "fail"
    assert "nobody listens on port" in text
    assert "localhost is this machine" in text  # a plan for one host, taken to several


def test_a_proxy_with_a_certificate_of_its_own(federation):
    root_key, root = generate_root_cert()
    key, csr = generate_csr("localhost", server=True)
    with posing(federation, pem(key, sign_certificate(csr, root_key, root.subject))):
        state, text = look(federation)
    assert state == "fail"
    assert "cannot prove to be the aggregator" in text
    assert "Do not go on" in text


def test_a_good_certificate_that_is_not_the_members(federation):
    folder = federation.folder / "desk"
    passphrase = (folder / "passphrase").read_bytes()
    authority = Authority(folder, lambda: passphrase, utc_now)
    key, csr = generate_csr("localhost", server=True)
    older = authority.issue("localhost", AGGREGATOR, csr.public_key())
    with posing(federation, pem(key, older)):
        state, text = look(federation)
    assert state == "fail"
    assert "but not the one in the member list" in text


def test_a_site_whose_certificate_is_of_another_authority(federation):
    root_key, root = generate_root_cert()
    key, csr = generate_csr("one")
    foreign = pem(key, sign_certificate(csr, root_key, root.subject))
    stem = federation.sites["one"] / "cert" / "client" / "col_one"
    with aggregator(federation):
        stem.with_suffix(".key").write_bytes(foreign[0])
        stem.with_suffix(".crt").write_bytes(foreign[1])
        state, text = look(federation)
    assert state == "fail"
    assert "refuses this site's certificate" in text


def test_a_server_that_speaks_no_tls(federation):
    port = federation.plan["network"]["settings"]["agg_port"]
    with socket.create_server(("127.0.0.1", port)) as listener:

        def answer():
            for _ in range(2):
                connection, _ = listener.accept()
                connection.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n")
                connection.close()

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        state, text = look(federation)
        thread.join(5)
    assert state == "fail"
    assert str(port) in text
