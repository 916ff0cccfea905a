"""Two aggregators on one port: the second ends with 77 in one line, and nothing of it has begun."""

import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.local.processes import Party, running, wait_for_port
from src.errors import PortTaken
from src.trust import audit
from tests.federation.drills import seen
from tests.patience import HANG_S, until

pytestmark = [pytest.mark.federation]


def port_of(federation) -> int:
    return federation.plan["network"]["settings"]["agg_port"]


def copy_of(workspace: Path, folder: Path) -> Path:
    return shutil.copytree(workspace, folder / workspace.name, symlinks=True)


def test_a_second_aggregator_on_the_port_ends_with_77_and_names_the_first(federation):
    other = copy_of(federation.aggregator, federation.folder / "other")
    with running([federation.start_aggregator()]) as parties:
        wait_for_port(parties[0], port_of(federation))
        first = parties[0].process.pid
        second = Party.start("other", other, "aggregator", "start")
        parties.append(second)
        assert second.process.wait(HANG_S) == PortTaken.exit_code
        text = " ".join(second.log.read_text().split())
        assert f"PortTaken: port {port_of(federation)} is in use by process {first} (" in text
        assert f"in {federation.aggregator}" in text
        assert "Traceback" not in text
        assert parties[0].process.poll() is None
    assert seen(other) == []  # nothing was begun
    assert not (other / "local_state" / "tensor.db").exists()


def test_any_program_that_has_the_port_on_ipv6_alone_is_named(federation):
    with socket.create_server(("::1", port_of(federation)), family=socket.AF_INET6):
        party = federation.start_aggregator()
        assert party.process.wait(HANG_S) == PortTaken.exit_code
    assert "PortTaken: port" in federation.log("aggregator")
    assert "Traceback" not in federation.log("aggregator")


def test_two_that_start_at_the_same_moment_never_share_the_port(federation):
    other = copy_of(federation.aggregator, federation.folder / "other")
    with running([federation.start_aggregator()]) as parties:
        parties.append(Party.start("other", other, "aggregator", "start"))
        until(lambda: any(party.process.poll() is not None for party in parties), "an end")
        (ended,) = [party for party in parties if party.process.poll() is not None]
        (going,) = [party for party in parties if party is not ended]
        assert ended.process.returncode == PortTaken.exit_code
        assert "PortTaken: port" in ended.log.read_text()
        assert "Traceback" not in ended.log.read_text()
        wait_for_port(going, port_of(federation))


# Outside of an `fx` command the port is not looked at before it is opened.
UNCHECKED = """
import socket
from pathlib import Path
from openfl.federated import Plan
plan = Plan.parse(Path("plan/plan.yaml"), cols_config_path=Path("plan/cols.yaml"))
serving = plan.get_server()
taken = socket.create_server(("", plan.config["network"]["settings"]["agg_port"]))
serving.serve()
"""


def test_a_program_that_comes_after_the_check_is_noticed_and_the_log_says_so(federation):
    workspace = federation.aggregator
    command = [sys.executable, "-c", UNCHECKED]
    ended = subprocess.run(
        command, cwd=workspace, capture_output=True, text=True, check=False, timeout=HANG_S
    )
    assert ended.returncode == PortTaken.exit_code, ended.stderr
    assert "Traceback" not in ended.stderr
    last = audit.verify(workspace / audit.FILE, federation.certificates())[-1]
    assert last["event"] == "ended"
    assert f"port {port_of(federation)} is in use by process" in last["how"]
