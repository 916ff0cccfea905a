"""workspace/README.md, typed: the commands of that page, in its order, on separate folders."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from scripts import fx
from scripts.processes import free_port
from src.inference.checkpoint import read_model

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "workspace" / "README.md").read_text()

pytestmark = [pytest.mark.federation, pytest.mark.timeout(400)]


def block(name: str) -> str:
    """The commands of the page's block ```bash NAME."""
    found = re.findall(rf"```bash {name}\n(.*?)```", PAGE, re.DOTALL)
    assert len(found) == 1, name
    return found[0]


def typed(name: str, folder: Path, **variables: str) -> None:
    """Type a block in a folder. CalledProcessError: one of its commands failed."""
    process = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block(name)],
        cwd=folder,
        env=environment(**variables),
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, f"{name}:\n{process.stdout[-2000:]}\n{process.stderr[-2000:]}"


def environment(**variables: str) -> dict[str, str]:
    return fx.environment() | {"PATH": f"{fx.FX.parent}:{os.environ['PATH']}"} | variables


def test_the_page_leads_from_a_plan_to_a_trained_model(tmp_path, phantom_sites):
    address, port = "localhost", str(free_port())
    aggregator = tmp_path / "machine-a" / "aggregator"
    aggregator.parent.mkdir()
    small = [
        "--rounds 1",
        "--set task_runner.local.steps=2",
        "--set data_loader.patches.size=[16,16,16]",
    ]
    desk = block("desk").replace("scripts workspace", f"scripts workspace {' '.join(small)}")
    subprocess.run(
        ["bash", "-euc", desk],
        cwd=ROOT,
        env=environment(ADDRESS=address, PORT=port, WORKSPACE=str(aggregator)),
        check=True,
        capture_output=True,
    )
    typed("aggregator", aggregator, ADDRESS=address)

    machines = {}
    for site, data in list(phantom_sites.items())[:2]:
        machine = machines[site] = tmp_path / f"machine-{site}"
        machine.mkdir()
        shutil.copy2(aggregator / "aggregator.zip", machine)
        typed("site", machine, SITE=site, DATA=str(data))
        request = f"col_{site}_to_agg_cert_request.zip"
        shutil.copy2(machine / "aggregator" / request, aggregator)
        typed("aggregator-for-site", aggregator, SITE=site)
        shutil.copy2(aggregator / f"agg_to_col_{site}_signed_cert.zip", machine / "aggregator")
        typed("site-take", machine, SITE=site)

    running = [start("aggregator-run", aggregator)]
    running += [start("site-run", machine, SITE=site) for site, machine in machines.items()]
    try:
        assert [process.wait(200) for process in running] == [0] * len(running)
    finally:
        for process in running:
            process.kill()

    final = read_model(aggregator / "save" / "final.pbuf")
    assert abs(final - read_model(aggregator / "save" / "init.pbuf")).max() > 1e-4
    assert not list(aggregator.rglob("col_*.key"))  # no site's key came to the aggregator
    save = "fx model save -i save/final.pbuf -o final.pt"
    assert save in PAGE
    subprocess.run(save.split(), cwd=aggregator, env=environment(), check=True, capture_output=True)
    assert (aggregator / "final.pt").stat().st_size > 4 * final.size


def start(name: str, folder: Path, **variables: str) -> subprocess.Popen:
    commands = block(name).replace("TENSORBOARD=1 fx", "exec env TENSORBOARD=1 fx")
    with (folder / f"{name}.log").open("w") as log:
        return subprocess.Popen(
            ["bash", "-euc", commands],
            cwd=folder,
            env=environment(**variables),
            stdout=log,
            stderr=subprocess.STDOUT,
        )
