"""Measure a command and all that it starts: CPU, memory, bytes on the wire, and its rounds.

Run as a module, it puts itself into a network namespace of its own (Linux, root), where the
loopback device carries nothing but the command's traffic, and counts TCP payload (TLS included)
there. Where that is not permitted, everything but the bytes is measured.
"""

import argparse
import ctypes
import json
import os
import re
import resource
import signal
import statistics
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from threading import Event, Thread

from scripts.benchmark.meter.loopback import Wire
from src.errors import RunFailed

TICKS = os.sysconf("SC_CLK_TCK")
SAMPLE_S = 0.15
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36  # linux/prctl.h
TIMED_OUT = 124  # as timeout(1)
WATCH_S = 0.5
CLEANUP_S = 30.0
INSIDE = "BENCH_INSIDE_NAMESPACE"


class Tree:
    """CPU seconds and peak memory of every process below this one.

    cpu_s, peak_bytes, command: by process id; they are kept when the process has ended.
    series: (time, CPU seconds of all processes), one entry a sample.
    """

    def __init__(self) -> None:
        self.cpu_s: dict[int, float] = {}
        self.peak_bytes: Counter[int] = Counter()
        self.command: dict[int, str] = {}
        self.series: list[tuple[float, float]] = []

    def follow(self, ended: Event) -> None:
        """Sample until told to end."""
        while not ended.wait(SAMPLE_S):
            self.sample()

    def sample(self) -> None:
        """Look at every descendant once."""
        for pid, cpu_s in descendants().items():
            self.cpu_s[pid] = max(self.cpu_s.get(pid, 0.0), cpu_s)
            try:
                command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
                status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
            except OSError:
                continue  # it has just ended
            self.command[pid] = command or self.command.get(pid, "")
            peak = re.search(r"VmHWM:\s+(\d+)", status)
            self.peak_bytes[pid] = max(self.peak_bytes[pid], 1024 * int(peak[1]) if peak else 0)
        self.series.append((time.time(), sum(self.cpu_s.values())))

    def cpu_until(self, moment: float) -> float:
        """CPU seconds of all processes up to a moment."""
        return max((cpu for t, cpu in self.series if t <= moment), default=0.0)

    def largest(self, pattern: str) -> int:
        """Peak memory in bytes of the largest process whose command line matches the pattern."""
        matching = [
            self.peak_bytes[pid] for pid, c in self.command.items() if re.search(pattern, c)
        ]
        return max(matching, default=0)


def descendants() -> dict[int, float]:
    """CPU seconds of every process below this one, by process id.

    Times come from /proc/PID/stat; a process that ends meanwhile is left out.
    """
    children: dict[int, list[int]] = defaultdict(list)
    cpu_s: dict[int, float] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                text = (entry / "stat").read_text(encoding="utf-8")
            except OSError:
                continue
            fields = text[text.rindex(")") + 2 :].split()
            children[int(fields[1])].append(int(entry.name))
            cpu_s[int(entry.name)] = (int(fields[11]) + int(fields[12])) / TICKS
    found, queue = {}, list(children[os.getpid()])
    while queue:
        pid = queue.pop()
        found[pid] = cpu_s[pid]
        queue += children[pid]
    return found


def end_descendants() -> None:
    """Ask every process below this one to end, then kill what is left, and reap them all."""
    for sign in (signal.SIGTERM,) * 10 + (signal.SIGKILL,) * 10:
        _reap()
        left = descendants()
        if not left:
            return
        for pid in left:
            try:
                os.kill(pid, sign)
            except ProcessLookupError:
                continue
        time.sleep(0.2)


def _reap() -> None:
    """Collect the exit codes of all ended children, so that none remains as a zombie."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return


def measure(command: list[str], events: Path, server: str, endpoint: str, timeout_s: float) -> dict:
    """Run a command and describe what it cost.

    events: the file to which the command's sites append time stamps, at the start of each round's
        work.
    server: a regular expression for the command line of the server process.
    endpoint: a regular expression for "ip:port", where the sites connect to.
    timeout_s: after that the command is ended, and the exit code is TIMED_OUT.

    The result holds exit_code, wall_s, cpu_s and server_peak_mb, and what `_rounds` adds.
    """
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)  # detached children stay ours
    ended, tree = Event(), Tree()
    wire = Wire() if os.environ.get(INSIDE) == "1" else None
    followers = [Thread(target=tree.follow, args=(ended,), daemon=True)]
    if wire is not None:
        followers.append(Thread(target=wire.follow, args=(ended,), daemon=True))
    for follower in followers:
        follower.start()
    began = time.time()
    try:
        code = subprocess.Popen(command, start_new_session=True).wait(timeout_s)
    except subprocess.TimeoutExpired:
        code = TIMED_OUT
    finally:
        tree.sample()
        end_descendants()
        ended.set()
        for follower in followers:
            follower.join()
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    result = {
        "exit_code": code,
        "wall_s": round(time.time() - began, 2),
        "cpu_s": round(usage.ru_utime + usage.ru_stime, 2),
        "server_peak_mb": round(tree.largest(server) / 1e6, 1),
    }
    return result | _rounds(events, began, tree, wire, endpoint)


def _rounds(events: Path, began: float, tree: Tree, wire: Wire | None, endpoint: str) -> dict:
    """What a round costs: from the first site's work in it to the same in the next round; medians.

    The first interval is left out (imports, first connection), so at least 3 rounds are needed;
    with fewer the result is empty.

    start_s: seconds from the command to the first site's first work.
    rounds: how many rounds were seen.
    s_per_round, s_per_round_range: the median, and the shortest and the longest.
    cpu_s_per_round: of all processes together.
    mb_up_per_site_round, mb_down_per_site_round: TCP payload, if the bytes could be counted.
    packets_lost: how many packets escaped the count.
    """
    starts: dict[int, list[float]] = defaultdict(list)
    sites = set()
    for line in events.read_text(encoding="utf-8").splitlines() if events.is_file() else []:
        entry = json.loads(line)
        sites.add(entry["site"])
        starts[entry["round"]].append(entry["t"])
    moments = [min(starts[number]) for number in sorted(starts)]
    if len(moments) < 3:
        return {}
    first, last, count = moments[1], moments[-1], len(moments) - 2
    lengths = [b - a for a, b in pairwise(moments[1:])]
    result = {
        "start_s": round(moments[0] - began, 2),
        "rounds": len(moments),
        "s_per_round": round(statistics.median(lengths), 3),
        "s_per_round_range": [round(min(lengths), 3), round(max(lengths), 3)],
        "cpu_s_per_round": round((tree.cpu_until(last) - tree.cpu_until(first)) / count, 3),
    }
    if wire is not None:
        # Nothing travels up when a round's first site starts its work, or down when its last does.
        for way, edge in (("up", min), ("down", max)):
            ends = [edge(starts[number]) for number in sorted(starts)]
            total = wire.total(way, endpoint, ends[1], ends[-1])
            result[f"mb_{way}_per_site_round"] = round(total / 1e6 / count / len(sites), 3)
        result["packets_lost"] = wire.lost()
    return result


def can_isolate() -> bool:
    """Whether this user may make a network namespace."""
    probe = ["unshare", "-n", "ip", "link", "set", "lo", "up"]
    try:
        return subprocess.run(probe, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


def measured(
    command: list[str],
    *,
    events: Path,
    server: str,
    endpoint: str,
    timeout_s: float,
    log: Path,
    environment: dict[str, str],
    watch: Callable[[], None] = lambda: None,
) -> dict:
    """Call `measure` in a process of its own, in a network namespace where that is permitted.

    log: the file for what the command prints; the result lies beside it as JSON.
    environment: of the command.
    watch: called every half second, to show progress.
    The other arguments are those of `measure`.
    RunFailed: there is no result; the message names the log.
    """
    own = [sys.executable, "-m", "scripts.benchmark.meter.measure", "--events", str(events)]
    own += ["--server", server, "--endpoint", endpoint, "--timeout", str(timeout_s)]
    out = log.with_suffix(".json")
    own += ["--out", str(out), "--", *command]
    inside = can_isolate()
    if inside:
        own = ["unshare", "-n", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", *own]
    environment = environment | {"BENCH_EVENTS": str(events), INSIDE: "1" if inside else "0"}
    events.unlink(missing_ok=True)
    out.unlink(missing_ok=True)
    with log.open("w", encoding="utf-8") as file:
        process = subprocess.Popen(
            own, env=environment, stdout=file, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
        )
        try:
            deadline = time.monotonic() + timeout_s + CLEANUP_S
            while process.poll() is None and time.monotonic() < deadline:
                watch()
                with suppress(subprocess.TimeoutExpired):
                    process.wait(WATCH_S)
        finally:
            process.terminate()
            process.wait(CLEANUP_S)
    if not out.is_file():
        raise RunFailed(f"The measurement ended without a result; its log: {log}")
    return json.loads(out.read_text(encoding="utf-8"))


def main() -> None:
    """The command line of this module; `measured` calls it.

    An interrupt ends the measured processes before it ends this one, and so does the death of the
    process that called.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=Path, required=True)
    parser.add_argument("--server", required=True)
    parser.add_argument("--endpoint", required=True)
    parser.add_argument("--timeout", type=float, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("command", nargs=argparse.REMAINDER)
    given = parser.parse_args()

    def interrupt(*_):
        # Ctrl-C reaches the terminal's whole group, so the verb's SIGTERM comes second: it must
        # not break off the ending of the children.
        for sign in (signal.SIGINT, signal.SIGTERM):
            signal.signal(sign, signal.SIG_IGN)
        raise KeyboardInterrupt

    for sign in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sign, interrupt)
    # a verb that is killed cannot end us
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    command = given.command[1:] if given.command[:1] == ["--"] else given.command
    result = measure(command, given.events, given.server, given.endpoint, given.timeout)
    given.out.write_text(json.dumps(result), encoding="utf-8")


if __name__ == "__main__":
    main()
