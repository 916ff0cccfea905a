"""NVIDIA FLARE: provisioned kits, mutual TLS, ScatterAndGather with FedAvg over numpy arrays.

The kits come from FLARE's own `nvflare provision`; server and sites are started by the commands in
its start scripts, and the job is submitted by its own API. Nothing waits after the last site's
update has arrived (`wait_time_after_min_received` is 0).
"""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from scripts.benchmark.meter.contender import (
    METER_FOLDER,
    PEER_FOLDER,
    ROOT,
    own_environment,
    started,
)
from scripts.benchmark.meter.workload import SITES

PACKAGES = ["nvflare==2.9.0"]
PORT = 8002
COMMON = "nvflare.app_common."


@dataclass(frozen=True)
class Flare:
    """NVIDIA FLARE in one of two configurations.

    cache: where its environment lies.
    fast: sites and server look for work every 0.1 s, instead of the default 2 s and 0.5 s.
    server: its parent process and the job's process both match; the larger one counts.
    """

    cache: Path
    fast: bool
    server: str = r"server_train|server\.runner_process"
    endpoint: str = rf":{PORT}$"

    @property
    def name(self) -> str:
        """As it stands in the table."""
        return "NVIDIA FLARE 2.9" + (", polling 0.1 s" if self.fast else "")

    def prepare(self, folder: Path, rounds: int) -> list[str]:
        """Provision the kits, write the job, and return the command to measure.

        The kits hold each party's certificate and start script, as FLARE's provisioning makes them.
        """
        python = own_environment("nvflare", PACKAGES, self.cache)
        content = json.dumps(project())  # JSON is YAML
        (folder / "project.json").write_text(content, encoding="utf-8")
        subprocess.run(
            [python.with_name("nvflare"), "provision", "-p", "project.json", "-w", "kits"],
            cwd=folder,
            env=self.environment(folder),
            check=True,
            capture_output=True,
        )
        write_job(folder, rounds, self.fast)
        return [sys.executable, "-m", "scripts.benchmark.peers.flare", str(python), str(folder)]

    def environment(self, folder: Path) -> dict[str, str]:
        """Environment variables with a home of its own, apart from the user's."""
        return os.environ | {"HOME": str(folder), "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}

    def final_model(self, folder: Path) -> np.ndarray:
        """The model that the job's persistor has saved."""
        return np.load(folder / "final.npy")


def project() -> dict[str, Any]:
    """FLARE's project file: one server, three sites, one admin.

    Its builders make workspaces, configuration, certificates and signatures, and no encryption
    keys.
    """
    server = {"name": "localhost", "type": "server", "org": "nvidia"}
    server |= {"fed_learn_port": PORT, "admin_port": PORT}
    sites = [{"name": f"site-{i + 1}", "type": "client", "org": "nvidia"} for i in range(SITES)]
    admin = {"name": "admin@nvidia.com", "type": "admin", "org": "nvidia", "role": "project_admin"}
    builder = "nvflare.lighter.impl."
    return {
        "api_version": 3,
        "name": "overhead",
        "description": "overhead",
        "participants": [server, *sites, admin],
        "builders": [
            {
                "path": builder + "workspace.WorkspaceBuilder",
                "args": {"template_file": ["master_template.yml"]},
            },
            {
                "path": builder + "static_file.StaticFileBuilder",
                "args": {"config_folder": "config"},
            },
            {"path": builder + "cert.CertBuilder"},
            {"path": builder + "signature.SignatureBuilder"},
        ],
    }


def write_job(folder: Path, rounds: int, fast: bool) -> None:
    """Write the job folder: the configurations of server and clients, and two plug-ins."""
    app = folder / "job" / "app"
    (app / "config").mkdir(parents=True)
    (app / "custom").mkdir()
    shutil.copy2(PEER_FOLDER / "flare_parts.py", app / "custom")
    shutil.copy2(METER_FOLDER / "workload.py", app / "custom")
    (app / "config" / "config_fed_server.json").write_text(
        json.dumps(server(folder, rounds, fast)), encoding="utf-8"
    )
    executor = {"path": "flare_parts.Noise", "args": {}}
    client = {
        "format_version": 2,
        "executors": [{"tasks": ["train"], "executor": executor}],
        "task_data_filters": [],
        "task_result_filters": [],
        "components": [],
    }
    (app / "config" / "config_fed_client.json").write_text(json.dumps(client), encoding="utf-8")
    meta = {"name": "overhead", "resource_spec": {}, "deploy_map": {"app": ["@ALL"]}}
    meta |= {"min_clients": SITES, "mandatory_clients": []}
    (folder / "job" / "meta.json").write_text(json.dumps(meta), encoding="utf-8")


def server(folder: Path, rounds: int, fast: bool) -> dict[str, Any]:
    """The job's configuration of the server: FedAvg over all sites, no pause between rounds."""
    aggregator = {"expected_data_kind": "WEIGHTS"}
    workflow = {
        "min_clients": SITES,
        "num_rounds": rounds,
        "start_round": 0,
        "wait_time_after_min_received": 0,
        "aggregator_id": "aggregator",
        "persistor_id": "persistor",
        "shareable_generator_id": "generator",
        "train_task_name": "train",
        "train_timeout": 0,
    }
    if fast:
        workflow["task_check_period"] = 0.1
    return {
        "format_version": 2,
        **({"server": {"task_request_interval": 0.1}} if fast else {}),
        "task_data_filters": [],
        "task_result_filters": [],
        "components": [
            {
                "id": "persistor",
                "path": "flare_parts.Persistor",
                "args": {"out": str(folder / "final.npy")},
            },
            {
                "id": "generator",
                "path": COMMON
                + "shareablegenerators.full_model_shareable_generator.FullModelShareableGenerator",
                "args": {},
            },
            {
                "id": "aggregator",
                "path": COMMON
                + "aggregators.intime_accumulate_model_aggregator"
                + ".InTimeAccumulateWeightedAggregator",
                "args": aggregator,
            },
        ],
        "workflows": [
            {
                "id": "rounds",
                "path": COMMON + "workflows.scatter_and_gather.ScatterAndGather",
                "args": workflow,
            }
        ],
    }


def main(python: Path, folder: Path) -> None:
    """The command that is measured: start server and sites, submit the job, wait for its end.

    python: of FLARE's environment. folder: where kits and job lie.
    """
    kits = folder / "kits" / "overhead" / "prod_00"
    commands = [party(python, kits / "localhost", "server", folder)]
    commands += [party(python, kits / f"site-{i + 1}", "client", folder) for i in range(SITES)]
    submit = [str(python), str(PEER_FOLDER / "flare_submit.py"), str(kits), str(folder / "job")]
    with started(commands, folder):
        subprocess.run(submit, cwd=folder, check=True)


def party(python: Path, kit: Path, role: str, folder: Path) -> tuple[list[str], Path]:
    """The command line of FLARE's own start script for one party, and its log."""
    module = f"nvflare.private.fed.app.{role}.{role}_train"
    command = [str(python), "-u", "-m", module, "-m", str(kit), "-s", f"fed_{role}.json"]
    command += ["--set", "secure_train=true", "org=nvidia", "config_folder=config"]
    if role == "client":
        command.append(f"uid={kit.name}")
    return command, folder / f"{kit.name}.log"


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
