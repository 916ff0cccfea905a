"""The meter: on a command whose CPU, memory, bytes and rounds are known."""

import json
import os
import sys
from pathlib import Path

import pytest

from scripts.benchmark.measure import can_isolate, measured
from scripts.benchmark.overhead import OURS, contenders, result

ROOT = Path(__file__).resolve().parents[3]
MEGABYTE = 1_000_000

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
else:
    parties = [subprocess.Popen([sys.executable, __file__, role]) for role in ("server", "client")]
    if sys.argv[1] == "hang":
        subprocess.Popen(["sleep", "300"], start_new_session=True)
        time.sleep(300)
    sys.exit(max(party.wait() for party in parties))
"""


def run(tmp_path, mode: str, timeout_s: float = 60) -> dict:
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
        assert row["mb_up_per_site_round"] == pytest.approx(1.0, rel=0.02)
        assert row["mb_down_per_site_round"] == pytest.approx(2.0, rel=0.02)


def test_what_hangs_is_ended_with_its_detached_children(tmp_path):
    row = run(tmp_path, "hang", timeout_s=4)
    assert row["exit_code"] == 124
    left = [
        entry.name
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit() and _command(entry).startswith(("sleep 300", f"{tmp_path}"))
    ]
    assert left == []


def _command(entry: Path) -> str:
    try:
        return (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def test_ratios_are_the_others_figure_over_ours():
    ours = {"name": OURS, "s_per_round": 0.5, "cpu_s_per_round": 0.4}
    other = {"name": "other", "s_per_round": 10.0, "cpu_s_per_round": 0.8}
    written = result([ours, other])
    assert set(written) == {"benchmark", "command", "machine", "rows", "ratios"}
    assert written["ratios"] == {"other: s_per_round": 20.0, "other: cpu_s_per_round": 2.0}
    json.dumps(written)


def test_contenders_are_chosen_by_name_and_an_unknown_one_is_refused():
    assert [c.name for c in contenders(False, ("stock",))] == ["OpenFL 1.9, stock"]
    assert {"Flower 1.41", "NVIDIA FLARE 2.9"} <= {c.name for c in contenders(True, ())}
    with pytest.raises(ValueError, match="there are this kit"):
        contenders(False, ("nobody",))
