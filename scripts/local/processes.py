"""The real processes of a local federation: started, watched, and always ended."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from scripts.local import fx
from scripts.local.fork_server import Forked
from src.errors import RunFailed

POLL_S = 0.25
CONNECT_S = 300.0  # a busy machine imports slowly; an aggregator that has ended is seen at once
STOP_S = 5.0


class FederationFailed(RunFailed):
    """A party ended early, or the run took too long; the message ends with that party's log."""


@dataclass(frozen=True)
class Party:
    """One process: its name, its log and itself."""

    name: str
    log: Path
    process: subprocess.Popen | Forked

    @classmethod
    def start(cls, name: str, workspace: Path, *arguments: str) -> "Party":
        """`fx ARGUMENTS` in `workspace`, in a process group of its own; the log beside it."""
        log = workspace / "logs" / f"{name}.log"
        with log.open("a", encoding="utf-8") as file:
            process = fx.start(workspace, *arguments, output=file)
        return cls(name, log, process)

    def stop(self) -> None:
        """End the whole process group: asked first, then killed."""
        for sign in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self.process.pid, sign)
            except ProcessLookupError:
                break
            try:
                self.process.wait(STOP_S)
                break
            except subprocess.TimeoutExpired:
                continue
        self.process.poll()


def free_port() -> int:
    """A TCP port that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def refuse_used_port(port: int) -> None:
    """RunFailed if something listens on the port. (gRPC would share it without a word.)"""
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", port)) == 0:
            raise RunFailed(
                f"Port {port} is in use on this machine. Leave network.agg_port out to take a "
                "free one, or end what listens there."
            )


@contextmanager
def running(parties: list[Party]):
    """The parties while the block runs; each is ended with it, however it ends.

    A list that the block may still add to. SIGTERM ends the block like Ctrl-C.
    """

    def interrupt(*_):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield parties
    finally:
        signal.signal(signal.SIGTERM, before)
        for party in parties:
            party.stop()


def run_federation(
    aggregator: Path,
    sites: Mapping[str, Path],
    port: int,
    *,
    timeout_s: float,
    watch: Callable[[], None] = lambda: None,
) -> None:
    """Start the aggregator, then the sites; return when all have ended well.

    watch: called every quarter of a second. FederationFailed: see there. KeyboardInterrupt passes.
    """
    deadline = time.monotonic() + timeout_s
    with running([Party.start("aggregator", aggregator, "aggregator", "start")]) as parties:
        wait_for_port(parties[0], port)
        for name, workspace in sites.items():
            parties.append(Party.start(name, workspace, "collaborator", "start", "-n", name))
        while any(party.process.poll() is None for party in parties):
            watch()
            _raise_failure(parties)
            if time.monotonic() > deadline:
                raise FederationFailed(
                    f"The run took longer than {timeout_s:.0f} s (--timeout). Logs: "
                    + ", ".join(str(party.log) for party in parties)
                )
            time.sleep(POLL_S)
        _raise_failure(parties)
    watch()


def wait_for_port(aggregator: Party, port: int) -> None:
    """Sites that find nobody would wait a second between their attempts."""
    deadline = time.monotonic() + CONNECT_S
    while aggregator.process.poll() is None and time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise FederationFailed(
        f"The aggregator does not listen on port {port}. The end of {aggregator.log}:\n"
        f"{fx.last_lines(aggregator.log)}"
    )


def _raise_failure(parties: list[Party]) -> None:
    for party in parties:
        if party.process.poll() not in (None, 0):
            raise FederationFailed(
                f"{party.name} ended with code {party.process.returncode}. "
                f"The end of {party.log}:\n{fx.last_lines(party.log)}"
            )
