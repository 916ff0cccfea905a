"""A site trains as in its container: a user without an account, and a root that is read-only."""

import os
import shutil
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest
import yaml

from scripts.local.enrol import enrol
from scripts.local.processes import Party, running, wait_for_port
from scripts.local.workspace import build_workspace, complete_plan
from src.plan.view import Plan
from tests.federation.conftest import own_port
from tests.patience import HANG_S

ROOT = Path(__file__).resolve().parents[2]
UID = "12345"  # of no account
COMPOSE = yaml.safe_load((ROOT / "workspace" / "compose.yaml").read_text())
# A mount namespace in which only what compose.yaml mounts can be written to.
# HIDDEN: folders that this user may not enter (root's home); KEPT: what of them it is to read.
BOX = """
set -e
mount --make-rprivate /
mount -t tmpfs tmpfs /mnt
keep() { mkdir -p "/mnt$1"; mount --bind "$1" "/mnt$1"; }
back() { mkdir -p "$1"; mount --bind "/mnt$1" "$1"; }
for folder in "$RUN" $KEPT; do keep "$folder"; done
mount -o remount,bind,ro /
mount -t tmpfs -o mode=1777 tmpfs /tmp
for folder in $HIDDEN; do mount -t tmpfs -o mode=755 tmpfs "$folder"; done
for folder in "$RUN" $KEPT; do back "$folder"; done
for folder in $HIDDEN; do mount -o remount,ro "$folder"; done
cd "$KIT"
exec setpriv --reuid $NUMBER --regid $NUMBER --clear-groups env -i PATH="$PATH" COLUMNS=250 "$@"
"""


READ = (ROOT, Path(sys.prefix), Path(sys.base_prefix))


def closed(path: Path) -> Path | None:
    """The highest folder above a path that other users cannot enter."""
    return next((p for p in reversed(path.parents) if not p.stat().st_mode & 0o001), None)


def boxed(run: Path, *command: object, log: Path | None = None) -> subprocess.Popen:
    """The command as this user, in the box."""
    behind = [(str(closed(path)), str(path)) for path in READ if closed(path)]
    environment = {"RUN": str(run), "KIT": str(ROOT), "NUMBER": UID, "PATH": os.environ["PATH"]}
    environment |= {
        "HIDDEN": " ".join({top for top, _ in behind}),
        "KEPT": " ".join(path for _, path in behind),
    }
    with log.open("w") if log else nullcontext(subprocess.PIPE) as output:
        return subprocess.Popen(
            ["unshare", "-m", "sh", "-c", BOX, "sh", *map(str, command)],
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


@pytest.fixture(scope="module")
def boxes(tmp_path_factory) -> None:
    if os.geteuid() != 0 or not shutil.which("unshare") or not shutil.which("setpriv"):
        pytest.skip("mount namespaces and other users are for root")
    said = boxed(tmp_path_factory.mktemp("try"), sys.executable, "-c", "import torch")
    words, _ = said.communicate(timeout=HANG_S)
    if said.returncode:
        pytest.skip(f"no such box on this machine: {words.decode()[-200:]}")


@pytest.fixture(scope="module")
def enrolled_site(boxes, made_once, fork_server, phantom_sites) -> Path:
    """A federation of one site, whose network trains for one round of two steps."""

    def make(folder: Path) -> None:
        changes = ("aggregator.rounds_to_train=1", "task_runner.local.steps=2")
        plan = complete_plan(
            ROOT / "plan" / "plain.yaml", changes=changes, address="localhost", port=own_port()
        )
        build_workspace(plan, folder / "aggregator/workspace")
        shutil.copytree(phantom_sites["one"], folder / "patients")
        enrol(folder, {"one": folder / "patients"})

    return made_once("container", make)


BARE: dict[str, str] = {}
COMPOSED = {
    name: str(value)
    for name, value in COMPOSE["services"]["site"]["environment"].items()
    if name not in ("SITE", "GLIOMA_LEDGER", "GLIOMA_MEMORY")  # mounts of plans that encrypt
}


@pytest.mark.federation
@pytest.mark.parametrize("given", [COMPOSED, BARE], ids=["compose.yaml's variables", "none"])
def test_a_site_trains_without_an_account_on_a_read_only_root(enrolled_site, tmp_path, given):
    run = tmp_path / "run"
    shutil.copytree(enrolled_site, run, symlinks=True)
    data = run / "one/workspace/data/one"
    data.unlink()
    data.symlink_to(run / "patients")
    for path in (run / "one", *(run / "one").rglob("*")):
        os.chown(path, int(UID), int(UID), follow_symlinks=False)
    workspace, variables = run / "one/workspace", [f"{name}={v}" for name, v in given.items()]
    kit = [*variables, sys.executable, "-m", "src"]

    doctor = boxed(run, *kit, "doctor", "-n", "one", "--offline", "--workspace", workspace)
    said, _ = doctor.communicate(timeout=HANG_S)
    assert doctor.returncode == 0, said.decode()
    assert "a step of the network ran" in said.decode()

    aggregator = Party.start("aggregator", run / "aggregator/workspace", "aggregator", "start")
    with running([aggregator]) as parties:
        plan = Plan.read(workspace / "plan" / "plan.yaml")
        wait_for_port(aggregator, plan.port)
        log = tmp_path / "site.log"
        site = boxed(run, *kit, "start", "-n", "one", "--workspace", workspace, log=log)
        parties.append(Party("one", log, site))
        assert site.wait(HANG_S) == 0, log.read_text()[-3000:]
        assert aggregator.process.wait(HANG_S) == 0
    assert "2 steps, loss" in log.read_text()
    assert (run / "aggregator/workspace/save/final.pbuf").is_file()
