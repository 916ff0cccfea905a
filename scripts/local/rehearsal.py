"""`rehearse`: the runbook's own commands, typed on separate hosts, from the ceremony to the audit.

One host for the desk (without a network), one for the aggregator, one for each hospital: Linux
network namespaces with own addresses and own folders. Files are carried, words are "read out" from
one host's screen to another's keyboard.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rich.console import Console

from scripts.local import fx
from scripts.local.hosts import Hosts
from scripts.local.processes import FederationFailed, Party, running
from scripts.local.runbook import block
from scripts.local.simulation import make_room, steps
from scripts.options import ROOT
from scripts.partition.preparation import make_phantoms, site_folders
from scripts.report.run_record import VALIDATION
from src.verbs.screen import Screen

SITES = ("one", "two", "three")  # as the runbook enrols them
ADDRESS = "aggregator.example"
PORT = "50051"
CONNECT_S = 60.0


class StepFailed(FederationFailed):
    """A block of the runbook ended with another code than 0; the message ends with its output."""


class Rehearsal:
    """The hosts of one rehearsal, and what is typed and heard on them."""

    def __init__(self, hosts: Hosts, say: Callable[[str], None]) -> None:
        self.hosts = hosts
        self.say = say

    def environment(self, host: str, **variables: str) -> dict[str, str]:
        """A person's shell on that host, with the runbook's variables."""
        home = self.hosts.home(host)
        own = {
            "HOME": str(home),
            "PATH": f"{fx.FX.parent}:{os.environ['PATH']}",
            "KIT": str(ROOT),
            "WORK": str(home),
            "DESK": str(home / "desk"),
            "ADDRESS": ADDRESS,
            "PORT": PORT,
            "SITE": host,
            "DATA": str(home / "mri"),
            "GLIOMA_PASSPHRASE_FILE": str(home / "passphrase"),
        }
        return fx.environment() | own | variables

    def type(self, host: str, name: str, change=lambda text: text, **variables: str) -> str:
        """Type a block of the runbook on a host; what the screen shows. StepFailed: see there."""
        home = self.hosts.home(host)
        command = ["bash", "-euo", "pipefail", "-c", change(block(name))]
        shown = subprocess.run(
            self.hosts.command(host, command),
            cwd=home,
            env=self.environment(host, **variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        with (home / "typed.log").open("a", encoding="utf-8") as log:
            log.write(f"--- {name}\n{shown.stdout}\n")
        if shown.returncode:
            tail = "\n".join(f"    {line}" for line in shown.stdout.splitlines()[-15:])
            raise StepFailed(f"{host}: block {name} ended with code {shown.returncode}:\n{tail}")
        return shown.stdout

    def carry(self, sender: str, path: str, receiver: str, to: str = ".") -> Path:
        """Carry a file from one host to another; where it lies there."""
        target = self.hosts.home(receiver) / to
        target.mkdir(parents=True, exist_ok=True)
        return Path(shutil.copy2(self.hosts.home(sender) / path, target))

    def start(self, host: str, name: str) -> Party:
        """Start what a block starts, and leave it running."""
        home = self.hosts.home(host)
        log = home / f"{name}.log"
        with log.open("w", encoding="utf-8") as file:
            process = subprocess.Popen(
                self.hosts.command(host, ["bash", "-euo", "pipefail", "-c", block(name)]),
                cwd=home,
                env=self.environment(host),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return Party(host, log, process)


def heard(screen: str, row: str) -> str:
    """The words that somebody reads out from a screen. StepFailed: it shows none."""
    found = re.search(rf"^{row}:\s+([a-z ]+?)\s*$", screen, re.MULTILINE)
    if not found:
        raise StepFailed(f"The screen shows no row {row!r}:\n{screen}")
    return found[1]


def rehearse(
    rounds: int | None,
    changes: tuple[str, ...],
    out: Path | None,
    cases: str,
    rate: str | None,
    loss: float,
    overwrite: bool,
) -> None:
    """Type the runbook on separate hosts: ceremony, run, audit. Needs root, not Docker."""

    console = Screen(markup=True, width=None if sys.stdout.isatty() else 120)
    folder = (out or Path("runs") / "rehearsal").absolute()
    make_room(folder, overwrite, mark="hosts")
    say = steps(console, time.monotonic())
    say("patients   synthetic, in each hospital")
    data = _patients(folder, cases)
    names = {"aggregator": ADDRESS} | {site: f"{site}.example" for site in SITES}
    with Hosts(folder / "hosts", names, offline=("desk",)) as hosts:
        for site, path in data.items():
            shutil.move(path, hosts.home(site) / "mri")
        if rate:
            say(f"line       {rate}, {loss:.0%} of packets lost, at every site")
            for site in SITES:
                hosts.slow(site, rate, loss)
        rehearsal = Rehearsal(hosts, say)
        hold_ceremony(rehearsal, rounds or 3, changes)
        run_federation(rehearsal)
        open_model(rehearsal)
        audit(rehearsal)
        for host in names:
            sent, received = hosts.megabytes(host)
            say(f"wire       {host}: {sent:.1f} MB sent, {received:.1f} MB received")
    home = folder / "hosts"
    _show_rounds(console, home / "aggregator" / "glioma")
    console.print(f"\nFinal model: {home / SITES[0] / 'final.pt'}", soft_wrap=True)
    console.print(f"What was typed, and what the screens showed: {folder}/hosts/*/typed.log")


def _patients(folder: Path, cases: str) -> dict[str, Path]:

    make_phantoms(folder / "data", len(SITES), cases, seed=7)
    return dict(zip(SITES, site_folders(folder / "data").values(), strict=True))


def hold_ceremony(rehearsal: Rehearsal, rounds: int, changes: tuple[str, ...]) -> None:
    """Steps 2 to 5 of the runbook."""
    say, hosts = rehearsal.say, rehearsal.hosts
    passphrase = hosts.home("desk") / "passphrase"
    passphrase.touch(mode=0o600)
    passphrase.write_text("only for this rehearsal", encoding="utf-8")
    flags = " ".join([f"--rounds {rounds}", *(f"--set '{change}'" for change in changes)])
    say("desk       workspace, authority, enrolment")
    screen = rehearsal.type(
        "desk",
        "desk",
        lambda text: text.replace("scripts workspace", f"scripts workspace {flags}"),
    )
    authority = heard(screen, "Words")
    for host in ("aggregator", *SITES):
        rehearsal.carry("desk", "glioma/glioma.zip", host)

    say("requests   aggregator and sites")
    requests = {"aggregator": f"cert/server/agg_{ADDRESS}.csr"}
    requests |= {site: f"col_{site}_to_agg_cert_request.zip" for site in SITES}
    blocks = {"aggregator": "aggregator"} | dict.fromkeys(SITES, "site")
    with ThreadPoolExecutor(2) as pool:  # people work at the same time; two cores
        screens = dict(zip(blocks, pool.map(rehearsal.type, blocks, blocks.values()), strict=True))
    say("desk       certificates, after the words were read out")
    for host, request in requests.items():
        path = rehearsal.carry(host, f"glioma/{request}", "desk", "requests")
        words = heard(screens[host], "Words")
        rehearsal.type("desk", "desk-issue", REQUEST=str(path), WORDS=words)
    screen = rehearsal.type("desk", "desk-deliver")
    bundle = heard(screen, "Words")
    rehearsal.carry("desk", f"packages/desk_to_agg_{ADDRESS}.zip", "aggregator")
    for site in SITES:
        rehearsal.carry("desk", f"packages/agg_to_col_{site}_signed_cert.zip", site)

    say("approval   every party takes, looks, compares; sites sign")
    takes = {"aggregator": "aggregator-take"} | dict.fromkeys(SITES, "site-take")
    with ThreadPoolExecutor(2) as pool:
        for screen in pool.map(rehearsal.type, takes, takes.values()):
            if heard(screen, "Authority") != authority or heard(screen, "Words") != bundle:
                raise StepFailed(f"The words are not the desk's:\n{screen}")
        list(pool.map(lambda site: rehearsal.type(site, "site-approve", WORDS=bundle), SITES))


def run_federation(rehearsal: Rehearsal) -> None:
    """Steps 6 and 7. StepFailed: a party ended with another code than 0."""
    say = rehearsal.say
    say("doctor     aggregator")
    rehearsal.type("aggregator", "aggregator-doctor")
    with running([rehearsal.start("aggregator", "aggregator-run")]) as parties:
        _wait_for_server(rehearsal, parties[0])
        say("doctor     sites, with the line")
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda site: rehearsal.type(site, "site-doctor"), SITES))
        say("run        aggregator and sites")
        parties += [rehearsal.start(site, "site-run") for site in SITES]
        for party in parties:
            if party.process.wait() != 0:
                raise StepFailed(f"{party.name} ended badly:\n{fx.last_lines(party.log, 20)}")


def _wait_for_server(rehearsal: Rehearsal, aggregator: Party) -> None:
    """Until a site reaches the port."""
    probe = f"exec 3<>/dev/tcp/{ADDRESS}/{PORT}"
    command = rehearsal.hosts.command(SITES[0], ["bash", "-c", probe])
    deadline = time.monotonic() + CONNECT_S
    while subprocess.run(command, capture_output=True, check=False).returncode:
        if aggregator.process.poll() is not None or time.monotonic() > deadline:
            raise StepFailed(f"No server on {ADDRESS}:\n{fx.last_lines(aggregator.log, 20)}")
        time.sleep(0.5)


def open_model(rehearsal: Rehearsal) -> None:
    """Step 7's end: the encrypted model is carried to every site, which verifies and opens it."""
    rehearsal.say("model      every site opens it")
    for site in SITES:
        rehearsal.carry("aggregator", "glioma/save/final.pbuf", site)
        rehearsal.type(site, "site-export")


def audit(rehearsal: Rehearsal) -> None:
    """Step 8: every site checks its log, and the aggregator's against it."""
    rehearsal.say("audit      every site, against the aggregator's log")
    for site in SITES:
        copy = rehearsal.carry("aggregator", "glioma/logs/audit.jsonl", site, "from-aggregator")
        copy.rename(rehearsal.hosts.home(site) / "aggregator.jsonl")
        rehearsal.type(site, "site-audit")


def _show_rounds(console: Console, home: Path) -> None:

    for text in (home / "logs" / "rounds.jsonl").read_text(encoding="utf-8").splitlines():
        line = json.loads(text)
        dice = [
            site["metrics"].get(VALIDATION, site["metrics"].get("final_validation", {})).get("dice")
            for site in line["sites"].values()
        ]
        known = [value for value in dice if value is not None]
        mean = f"{sum(known) / len(known):.3f}" if known else "-"
        seconds = line["seconds"] or 0
        console.print(f"  round {line['round']}: its first model's Dice {mean}, {seconds:.1f} s")
