"""Federations of real `fx` processes: enrolled once, then copied for each test that runs one."""

import os
import shutil
import socket
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest
import yaml

from certs.authority import Authority
from certs.ceremony import Ceremony
from scripts.local import fx
from scripts.local.enrol import approve, enrol
from scripts.local.fork_server import ForkServer
from scripts.local.processes import Party, run_federation
from scripts.local.workspace import build_workspace, complete_plan
from src.plan import plan as plans
from src.trust import members
from src.trust.certificate import utc_now
from src.trust.package import receive
from tests.patience import HANG_S

ROOT = Path(__file__).resolve().parents[2]
CASES = {"one": 5, "two": 2, "three": 4}
NOISE = (
    "aggregator.rounds_to_train=3",
    "aggregator.idle_wait_s=2",
)


@dataclass(frozen=True)
class Federation:
    """Enrolled workspaces under one folder."""

    folder: Path
    names: tuple[str, ...] = tuple(CASES)

    @property
    def aggregator(self) -> Path:
        return self.folder / "aggregator/workspace"

    @property
    def sites(self) -> dict[str, Path]:
        return {name: self.folder / name / "workspace" for name in self.names}

    @property
    def plan(self) -> dict:
        return yaml.safe_load((self.aggregator / "plan" / "plan.yaml").read_text())

    def change(self, *assignments: str, **sections) -> None:
        """Change the plan of every party alike, as if all had got and approved a new one."""
        plan = self.plan
        plan.update(sections)
        plans.change(plan, assignments)
        for workspace in (self.aggregator, *self.sites.values()):
            (workspace / "plan" / "plan.yaml").write_text(yaml.safe_dump(plan))
            for frozen in (workspace / "plan").glob("plan_*.yaml"):  # `fx`'s copy of another plan
                frozen.unlink()
        if self.encrypted:
            self.deliver()
        self.approve()

    @property
    def encrypted(self) -> bool:
        return "Encrypted" in self.plan["compression_pipeline"]["template"]

    def desk(self) -> Ceremony:
        folder = self.folder / "desk"
        passphrase = (folder / "passphrase").read_bytes()
        return Ceremony(Authority(folder, lambda: passphrase, utc_now), utc_now)

    def deliver(self) -> None:
        """The desk's packages for what lies at the aggregator now, with new keys, taken in."""
        packages = self.folder / "packages"
        self.desk().delivery.write_packages(packages, workspace=self.aggregator)
        receive(packages / "desk_to_agg_localhost.zip", self.aggregator, utc_now())
        for name, workspace in self.sites.items():
            receive(packages / f"agg_to_col_{name}_signed_cert.zip", workspace, utc_now())

    def approve(self) -> None:
        for name, workspace in self.sites.items():
            approve(workspace, name)

    def certificates(self) -> list:
        """Everybody's, for reading audit logs."""
        return [m.certificate for m in members.read(self.aggregator, utc_now()).members]

    def revoke(self, site: str) -> None:
        """By the desk; the list reaches the aggregator alone, as a file."""
        desk, list_ = self.desk(), self.folder / "desk" / "revoked.crl"
        desk.revoke(site, "keyCompromise")
        list_.write_bytes(desk.delivery.revocation_list())
        receive(list_, self.aggregator, utc_now())

    def run(self, timeout_s: float = HANG_S) -> None:
        run_federation(
            self.aggregator,
            self.sites,
            self.plan["network"]["settings"]["agg_port"],
            timeout_s=timeout_s,
        )

    def log(self, party: str) -> str:
        workspace = self.aggregator if party == "aggregator" else self.sites[party]
        return (workspace / "logs" / f"{party}.log").read_text()

    def start_aggregator(self) -> Party:
        return Party.start("aggregator", self.aggregator, "aggregator", "start")

    def start_site(self, name: str) -> Party:
        return Party.start(name, self.sites[name], "collaborator", "start", "-n", name)


@pytest.fixture(scope="session")
def fork_server():
    """One for all these tests: its imports are most of what an `fx` command takes."""
    with ForkServer(fx.environment()) as server:
        yield server


@pytest.fixture(scope="module", autouse=True)
def forked(fork_server):
    """The commands and parties of these tests are forked, unless a test says otherwise."""
    with fx.forked_by(fork_server):
        yield


@pytest.fixture(scope="session")
def enrolled(fork_server, made_once) -> Path:
    """Three sites of 5, 2 and 4 cases that add noise instead of training; nothing encrypted."""
    with fx.forked_by(fork_server):
        return made_once("enrolled", lambda to: enrol_noise(to, "plain.yaml", CASES))


@pytest.fixture(scope="session")
def enrolled_sealed(fork_server, made_once) -> Path:
    """The same with the default plan: encrypted, masked, with MACs."""
    with fx.forked_by(fork_server):
        return made_once("enrolled-sealed", lambda to: enrol_noise(to, "plan.yaml", CASES))


def enrol_noise(folder: Path, plan_name: str, cases: dict[str, int]) -> Path:
    data = {}
    for name, number in cases.items():
        data[name] = folder / "data" / name
        data[name].mkdir(parents=True)
        (data[name] / "cases").write_text(str(number))
    plan = complete_plan(ROOT / "plan" / plan_name, changes=NOISE)
    plan["data_loader"] = {"template": "parts.Cases", "settings": {}}
    plan["task_runner"] = {"template": "parts.NoiseRunner", "settings": {}}
    build_workspace(plan, folder / "aggregator/workspace")
    enrol(folder, data, modules=[ROOT / "tests" / "federation" / "parts.py"])
    return folder


@pytest.fixture
def federation(enrolled, tmp_path) -> Federation:
    """A fresh copy of the enrolled federation on a port of its own."""
    return copy_of(enrolled, tmp_path)


@pytest.fixture
def sealed(enrolled_sealed, tmp_path) -> Federation:
    """The same, encrypted."""
    return copy_of(enrolled_sealed, tmp_path)


PORTS = count(20_000 + 1_000 * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]))


def own_port() -> int:
    """A port that no other worker of pytest-xdist takes, and no outgoing connection."""
    return next(port for port in PORTS if not in_use(port))


def in_use(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def copy_of(enrolled: Path, folder: Path) -> Federation:
    """The enrolled federation again, in `folder`, on a port of its own."""
    names = tuple(path.name for path in sorted((enrolled / "data").iterdir()))
    for party in ("aggregator", "desk", *names):
        shutil.copytree(enrolled / party, folder / party, symlinks=True)
    federation = Federation(folder, names)
    federation.change(f"network.agg_port={own_port()}")
    return federation


@pytest.fixture
def note_drill(request) -> Callable[[str, float], None]:
    """note_drill(drill, difference): for the table at the end of a run, also from a worker."""

    def note(drill: str, difference: float) -> None:
        request.node.user_properties.append(("drill", (drill, difference)))

    return note


def pytest_terminal_summary(terminalreporter) -> None:
    reports = [report for some in terminalreporter.stats.values() for report in some]
    drills = [
        value
        for report in reports
        if getattr(report, "when", None) == "teardown"
        for name, value in report.user_properties
        if name == "drill"
    ]
    if drills:
        terminalreporter.section("how far final models after faults are from the right ones")
        for drill, difference in drills:
            terminalreporter.write_line(f"{difference:8.1e}  {drill}")
