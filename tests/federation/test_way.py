"""A running site says once what is in its way, and by which way it calls; also through a proxy."""

import os
import socket

import pytest

from scripts.local.processes import running, wait_for_port
from tests.network.conftest import ConnectProxy, serving, wait_for_the_end
from tests.patience import HANG_S, until

pytestmark = [pytest.mark.federation]


def words(federation, site: str) -> str:
    return " ".join(federation.log(site).split())


@pytest.fixture
def port(federation) -> int:
    return federation.plan["network"]["settings"]["agg_port"]


def test_a_running_site_says_what_listens_in_the_aggregators_place(federation, port):
    def answer(connection: socket.socket) -> None:
        connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
        wait_for_the_end(connection)

    federation.change("collaborator.patience_s=5")
    with serving(answer, port):
        site = federation.start_site("one")
        with running([site]):
            assert site.process.wait(HANG_S) == 1
    text = words(federation, "one")
    assert "does not speak TLS: an SSH server" in text
    assert federation.log("one").count("Trying again") <= 2  # the log's file, and the screen
    assert "refuse" not in text


def test_a_run_through_a_proxy_says_so_and_ends_well(federation, port, monkeypatch):
    proxy = ConnectProxy({"localhost": ("localhost", port)})
    with serving(proxy.answer) as at, running([federation.start_aggregator()]) as parties:
        wait_for_port(parties[0], port)
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{at}")
        for name in ("no_proxy", "NO_PROXY", "no_grpc_proxy", "grpc_proxy"):
            monkeypatch.delenv(name, raising=False)
        parties += [federation.start_site(name) for name in federation.names]
        until(lambda: all(party.process.poll() is not None for party in parties), "the end")
        assert [party.process.returncode for party in parties] == [0, 0, 0, 0]
    assert len(proxy.asked) >= len(federation.names)
    said = f"is called through the proxy 127.0.0.1:{at}, from the variable https_proxy"
    assert all(said in words(federation, name) for name in federation.names)
    assert os.environ["https_proxy"] not in words(federation, "one")
