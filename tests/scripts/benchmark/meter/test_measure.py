"""The meter: on a command whose CPU, memory, bytes and rounds are known."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from scripts.benchmark.meter.measure import can_isolate, measured
from tests.patience import HANG_S, until

ROOT = Path(__file__).resolve().parents[4]

# Four rounds of 1 MB up and 2 MB down over TCP, 0.2 s of CPU a round, 150 MB held by the server.
WORK = """
import json, os, socket, subprocess, sys, threading, time
def server():
    held = bytearray(150_000_000)
    with socket.create_server(("127.0.0.1", 7777)) as listener:
        connection, _ = listener.accept()
        with connection:
            for _ in range(4):
                left = 1_000_000
                while left:
                    left -= len(connection.recv(min(left, 65536)))
                connection.sendall(bytes(2_000_000))
def client():
    while True:
        try:
            connection = socket.create_connection(("127.0.0.1", 7777)); break
        except ConnectionRefusedError:
            time.sleep(0.05)
    for number in range(4):
        with open(os.environ["BENCH_EVENTS"], "a") as file:
            file.write(json.dumps({"t": time.time(), "site": 0, "round": number}) + "\\n")
        end = time.process_time() + 0.2
        while time.process_time() < end: pass
        connection.sendall(bytes(1_000_000))
        left = 2_000_000
        while left:
            left -= len(connection.recv(min(left, 65536)))
        time.sleep(0.3)
if sys.argv[1] == "server": server()
elif sys.argv[1] == "client": client()
elif sys.argv[1] == "sleep": time.sleep(300)
else:
    parties = [subprocess.Popen([sys.executable, __file__, role]) for role in ("server", "client")]
    if sys.argv[1] == "hang":
        subprocess.Popen([sys.executable, __file__, "sleep"], start_new_session=True)
        time.sleep(300)
    sys.exit(max(party.wait() for party in parties))
"""


def run(tmp_path, mode: str, timeout_s: float = 60, script: Path | None = None) -> dict:
    if script is None:
        script = tmp_path / "work.py"
        script.write_text(WORK)
    return measured(
        [sys.executable, str(script), mode],
        events=tmp_path / "events.jsonl",
        server=r"work\.py server",
        endpoint=r"127\.0\.0\.1:7777$",
        timeout_s=timeout_s,
        log=tmp_path / "measure.log",
        environment=os.environ | {"PYTHONPATH": str(ROOT)},
    )


def test_a_known_command_is_measured_right(tmp_path):
    row = run(tmp_path, "all")
    assert row["exit_code"] == 0
    assert row["rounds"] == 4
    assert row["cpu_s_per_round"] == pytest.approx(0.2, abs=0.12)
    assert row["s_per_round"] > 0.5
    assert 150 < row["server_peak_mb"] < 250
    if can_isolate():
        assert row["packets_lost"] == 0
        assert row["mb_up_per_site_round"] == pytest.approx(1.0, rel=0.05)
        assert row["mb_down_per_site_round"] == pytest.approx(2.0, rel=0.05)


STAGGERED = """
import json, os, socket, threading, time
gates = [threading.Barrier(2) for _ in range(4)]
late_s = (0, 0, 0, 0.5)  # the second site's download begins so long after the first's
def served(connection):
    with connection:
        for _ in range(4):
            connection.recv(1)
            connection.sendall(bytes(1_000_000))
def site(number):
    with socket.create_connection(("127.0.0.1", 7777)) as connection:
        for round_number in range(4):
            gates[round_number].wait()
            time.sleep(number * late_s[round_number])
            connection.sendall(b"?")
            left = 1_000_000
            while left:
                left -= len(connection.recv(min(left, 65536)))
            time.sleep(0.2)
            with open(os.environ["BENCH_EVENTS"], "a") as file:
                line = {"t": time.time(), "site": number, "round": round_number}
                file.write(json.dumps(line) + "\\n")
listener = socket.create_server(("127.0.0.1", 7777))
sites = [threading.Thread(target=site, args=(number,)) for number in range(2)]
for one in sites: one.start()
for _ in sites: threading.Thread(target=served, args=(listener.accept()[0],)).start()
for one in sites: one.join()
"""


@pytest.mark.skipif(not can_isolate(), reason="bytes need a network namespace (root)")
def test_a_late_sites_download_counts_in_its_own_round(tmp_path):
    script = tmp_path / "work.py"
    script.write_text(STAGGERED)
    row = run(tmp_path, "staggered", script=script)
    assert row["mb_down_per_site_round"] == pytest.approx(1.0, rel=0.002)


def test_what_hangs_is_ended_with_its_detached_children(tmp_path):
    row = run(tmp_path, "hang", timeout_s=4)
    assert row["exit_code"] == 124
    assert running_in(tmp_path) == []


VERB = """
import os, signal, sys
from pathlib import Path
from scripts.benchmark.meter.measure import measured
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored below a shell's `&`
here = Path(sys.argv[1])
command = [sys.executable, str(here / "work.py"), "hang"]
measured(command, events=here / "events.jsonl", server="x", endpoint="x", timeout_s=60,
         log=here / "measure.log", environment=dict(os.environ))
"""


@pytest.mark.parametrize(
    "strike",
    [
        pytest.param(lambda pid: os.killpg(pid, signal.SIGINT), id="ctrl-c"),
        pytest.param(lambda pid: os.kill(pid, signal.SIGTERM), id="verb-terminated"),
        pytest.param(lambda pid: os.kill(pid, signal.SIGKILL), id="verb-killed"),
    ],
)
def test_nothing_outlives_an_interrupted_measurement(tmp_path, strike: Callable[[int], None]):
    (tmp_path / "work.py").write_text(WORK)
    verb = subprocess.Popen(
        [sys.executable, "-c", VERB, str(tmp_path)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    until(lambda: any("work.py sleep" in command for command in running_in(tmp_path)), "work")
    strike(verb.pid)
    verb.wait(HANG_S)
    until(lambda: running_in(tmp_path) == [], "the end of the work")


def running_in(folder: Path) -> list[str]:
    """The commands of processes that name the folder."""
    entries = [entry for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return [command for entry in entries if f"{folder}/" in (command := _command(entry))]


def _command(entry: Path) -> str:
    try:
        return (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""
