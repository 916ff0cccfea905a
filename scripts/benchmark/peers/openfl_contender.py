"""OpenFL over mutual TLS: with this kit's parts, and as it is shipped.

Both run the same `fx` commands with the same task runner without training; they differ in the parts
that the plan names. Stock OpenFL is enrolled by its own authority, this kit by its ceremony.
"""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from scripts.benchmark.meter import workload
from scripts.benchmark.meter.contender import METER_FOLDER, PEER_FOLDER, ROOT
from scripts.local import fx
from scripts.local.finished_run import plan_of, workspace_of
from src.plan.view import Plan

PORT = 50151
SITES = ("s1", "s2", "s3")
MODULES = (
    PEER_FOLDER / "openfl_parts.py",
    PEER_FOLDER / "openfl_polling.py",
    METER_FOLDER / "workload.py",
)
NOISE = {"template": "openfl_parts.Noise"}


@dataclass(frozen=True)
class OpenFL:
    """OpenFL in one of four configurations.

    stock: OpenFL's own aggregator, collaborator, rule and pipeline with 75 tensors; else ours.
    fast: stock, but idle sites ask again after 0.2 s instead of OpenFL's fixed 10 s.
    encrypted: ours with the default plan; else ours with plan/plain.yaml.
    """

    stock: bool
    fast: bool = False
    encrypted: bool = False
    server: str = r"fx aggregator start"
    endpoint: str = rf":{PORT}$"

    @property
    def name(self) -> str:
        """As it stands in the table."""
        if self.fast:
            return "OpenFL 1.9, polling 0.2 s"
        if self.stock:
            return "OpenFL 1.9, stock"
        return f"this kit, {'encrypted' if self.encrypted else 'not encrypted'}"

    def prepare(self, folder: Path, rounds: int) -> list[str]:
        """Build a workspace, have `fx` enrol all parties, and return the command to measure.

        The plan is this kit's; only task runner and data loader are replaced by ones without
        training, and for stock OpenFL the sections of `stock_sections`.
        """
        from scripts.benchmark.peers.openfl_stock import enrol_stock
        from scripts.local.enrol import enrol
        from scripts.local.workspace import build_workspace, complete_plan

        path = ROOT / "plan" / ("plan.yaml" if self.encrypted else "plain.yaml")
        plan = complete_plan(path, rounds=rounds, port=PORT, changes=self._changes())
        plan["data_loader"] = {"template": "openfl_parts.SiteNumber", "settings": {}}
        plan["task_runner"] = NOISE | {"settings": {"flat": not self.stock}}
        if self.stock:
            plan |= stock_sections(plan, rounds)
        if self.fast:
            plan["aggregator"]["template"] = "openfl_polling.FastPolling"
        build_workspace(plan, workspace_of(folder, "aggregator"))
        data = {}
        for number, site in enumerate(SITES):
            data[site] = folder / "data" / site
            data[site].mkdir(parents=True)
            (data[site] / "site").write_text(str(number), encoding="utf-8")
        modules = list(MODULES)
        if self.stock:
            enrol_stock(folder, data, modules)
        else:
            enrol(folder, data, modules=modules)
        return [sys.executable, "-m", "scripts.benchmark.peers.openfl_contender", str(folder)]

    def _changes(self) -> tuple[str, ...]:
        """Settings of the plan that this workload needs: a cap for the largest number of cases."""
        most = max(workload.WEIGHTS)
        return (f"compression_pipeline.most_cases={most}",) if self.encrypted else ()

    def environment(self, folder: Path) -> dict[str, str]:
        """Environment variables as for any federation."""
        return fx.environment()

    def final_model(self, folder: Path) -> np.ndarray:
        """The model that the run has left.

        This kit saves it as a file; stock OpenFL leaves its last aggregate only in its database.
        """
        workspace = workspace_of(folder, "aggregator")
        if not self.stock:
            from src.engines.openfl.model_file import read_model

            return read_model(workspace / "save" / "final.pbuf", workspace_of(folder, SITES[0]))
        from openfl.databases import PersistentTensorDB

        database = PersistentTensorDB(str(workspace / "local_state" / "tensor.db"))
        tensors = database.load_tensors("next_round_tensors")
        return workload.pack({key.tensor_name: tensor for key, tensor in tensors.items()})


def stock_sections(plan: dict[str, Any], rounds: int) -> dict[str, Any]:
    """The plan's sections as in OpenFL's own torch template, without delta updates.

    (Without them stock OpenFL is faster.)
    """
    keep = ("init_state_path", "best_state_path", "last_state_path", "db_store_rounds")
    keep += ("persist_checkpoint", "persistent_db_path", "use_delta_updates", "write_logs")
    ours = plan["aggregator"]["settings"]
    group = {"name": "learning", "percentage": 1.0}
    local = {"function": "validate_task", "kwargs": {"apply": "local"}}  # of OpenFL's template
    both = {"locally_tuned_model_validation": local, **plan["tasks"]}
    group["tasks"] = ["aggregated_model_validation", "train", "locally_tuned_model_validation"]
    collaborator = {"opt_treatment": "RESET", "use_delta_updates": False, "write_logs": True}
    tasks = {name: dict(both[name]) for name in group["tasks"]}
    tasks["train"].pop("aggregation_type")
    return {
        "aggregator": {
            "template": "openfl.component.Aggregator",
            "settings": {key: ours[key] for key in keep} | {"rounds_to_train": rounds},
        },
        "assigner": {
            "template": "openfl.component.RandomGroupedAssigner",
            "settings": {"task_groups": [group]},
        },
        "collaborator": {"template": "openfl.component.Collaborator", "settings": collaborator},
        "compression_pipeline": {
            "template": "openfl.pipelines.NoCompressionPipeline",
            "settings": {},
        },
        "tasks": tasks,
    }


def main(folder: Path) -> None:
    """The command that is measured: the federation, from the first process to the last.

    folder: holds the workspaces of all parties, enrolled.
    """
    from scripts.local.processes import run_federation

    os.chdir(ROOT)
    plan = yaml.safe_load(plan_of(folder).read_text(encoding="utf-8"))
    port = Plan(plan).port
    sites = {site: workspace_of(folder, site) for site in SITES}
    run_federation(workspace_of(folder, "aggregator"), sites, port, timeout_s=600)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
