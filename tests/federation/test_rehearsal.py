"""The runbook's own commands on separate hosts, over slow and lossy lines; skipped where the
machine does not allow network namespaces."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from scripts.local.hosts import Hosts, NotPermitted
from scripts.local.rehearsal import StepFailed, heard
from scripts.local.runbook import PAGE, block
from src.engines.openfl.model_file import read_model
from src.errors import InputError
from tests.patience import until

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [pytest.mark.federation]


@pytest.fixture
def hosts(tmp_path):
    names = {"a": "a.example", "b": "b.example"}
    try:
        with Hosts(tmp_path / "hosts", names, offline=("desk",)) as hosts:
            yield hosts
    except NotPermitted as refusal:
        pytest.skip(str(refusal))


def shell(hosts, host: str, command: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        hosts.command(host, ["bash", "-c", command]), capture_output=True, text=True, check=False
    )


def test_a_host_sees_its_own_folder_and_no_other(hosts):
    for host in ("a", "b"):
        (hosts.home(host) / "secret").write_text(host)
    seen = shell(hosts, "a", f"ls {hosts.folder} && cat {hosts.home('a')}/secret")
    assert seen.stdout.split() == ["a", "a"]
    assert shell(hosts, "a", f"cat {hosts.home('b')}/secret").returncode != 0
    shell(hosts, "a", f"echo changed > {hosts.home('a')}/secret")
    assert (hosts.home("a") / "secret").read_text() == "changed\n"


def test_hosts_reach_each_other_by_name_and_the_desk_reaches_nobody(hosts):
    ask = "import socket; print(socket.gethostbyname('b.example'))"
    assert shell(hosts, "a", f'{sys.executable} -c "{ask}"').stdout.strip() == hosts.address("b")
    listen = hosts.command("b", [sys.executable, "-m", "http.server", "8000"])
    with subprocess.Popen(listen, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as server:
        try:
            reach = f"exec 3<>/dev/tcp/{hosts.address('b')}/8000"
            until(lambda: shell(hosts, "a", reach).returncode == 0, "host b's server", every_s=0.1)
            assert shell(hosts, "desk", reach).returncode != 0
        finally:
            server.terminate()


def test_a_missing_tool_is_told_and_not_a_bug(hosts, monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(NotPermitted, match=r"No such file .*'tc'. Needed: root, iproute2"):
        hosts.slow("a", "4mbit")


def test_namespaces_are_gone_afterwards(hosts):
    prefix = hosts._prefix
    hosts.__exit__()
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True)
    assert prefix not in listed.stdout
    assert not list(Path("/etc/netns").glob(f"{prefix}*"))


@pytest.mark.first
def test_the_runbook_leads_from_a_plan_to_an_audited_model(tmp_path):
    little = ["--cases", "8", "--set", "task_runner.local.steps=10"]  # it learns the runbook
    lossy = ["--loss", "0.01"] if shutil.which("iptables") else []
    out = tmp_path / "rehearsal"
    shown = subprocess.run(
        [
            sys.executable,
            "-m",
            "scripts",
            "rehearse",
            "--out",
            out,
            "--rate",
            "4mbit",
            *little,
            *lossy,
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if "separate hosts are not possible here" in shown.stderr:
        pytest.skip(shown.stderr.strip())
    assert shown.returncode == 0, shown.stdout[-2000:] + shown.stderr[-2000:]

    aggregator = out / "hosts" / "aggregator" / "glioma"
    models = [out / "hosts" / site / "final.pt" for site in ("one", "two", "three")]
    states = [torch.load(path, weights_only=True)["model_state_dict"] for path in models]
    finals = [np.concatenate([t.numpy().ravel() for t in state.values()]) for state in states]
    assert all((final == finals[0]).all() for final in finals)
    assert abs(finals[0] - read_model(aggregator / "save" / "init.pbuf")).max() > 1e-4
    keys = {path.relative_to(out / "hosts").as_posix() for path in (out / "hosts").rglob("*.key")}
    assert keys == {
        *(f"desk/desk/{name}.key" for name in ("root", "signing", "desk")),
        "aggregator/glioma/cert/server/agg_aggregator.example.key",
        *(f"{s}/glioma/cert/client/col_{s}.key" for s in ("one", "two", "three")),
        *(f"{s}/glioma/cert/encryption/col_{s}.key" for s in ("one", "two", "three")),
    }
    for site in ("one", "two", "three"):
        assert f"aggregator.example and {site} (site) agree" in " ".join(
            (out / "hosts" / site / "typed.log").read_text().split()
        )
    # what the page says of the aggregator: it cannot read the model
    fx = Path(sys.executable).with_name("fx")
    save = [fx, "model", "save", "-i", "save/final.pbuf", "-o", "final.pt"]
    refused = subprocess.run(save, cwd=aggregator, capture_output=True, text=True, check=False)
    assert refused.returncode
    assert not (aggregator / "final.pt").exists()


def test_every_block_of_the_page_is_typed_by_the_rehearsal():
    typed = (ROOT / "scripts" / "local" / "rehearsal.py").read_text()
    blocks = set(re.findall(r"```bash (\S+)\n", PAGE.read_text())) - {"install"}
    assert {name for name in blocks if f'"{name}"' not in typed} == set()


def test_words_are_read_from_a_screen():
    assert heard("x\nWords:     one two  \ny", "Words") == "one two"
    with pytest.raises(StepFailed, match="shows no row"):
        heard("nothing", "Words")


def test_a_block_that_is_not_on_the_page_is_named():
    with pytest.raises(InputError, match="expected one block"):
        block("no-such")
