"""`workspace`: frame + one plan, unfolded + src = a complete OpenFL workspace for plain `fx`.

What stands in the workspace's plan/plan.yaml is the whole plan, nothing is looked up elsewhere:
what is reviewed is what runs.
"""

import shutil
from pathlib import Path
from typing import Any

import click
import yaml

from scripts.local import locks, sbom
from scripts.options import ROOT, quoted
from src.errors import InputError
from src.plan import plan as plans
from src.plan import rules

FRAME = ("save", "logs", "data", "cert", "local_state")  # folders that `fx` expects


def workspace(
    plan_path: Path,
    rounds: int | None,
    seed: int | None,
    changes: tuple[str, ...],
    address: str,
    port: int | None,
    out: Path | None,
) -> None:
    """Build an OpenFL workspace from a plan; plain `fx` commands work in it."""
    plan = complete_plan(
        plan_path, rounds=rounds, seed=seed, changes=changes, address=address, port=port
    )
    out = out or Path("runs") / plan_path.stem / "aggregator" / "workspace"
    build_workspace(plan, out)
    click.echo(f"Workspace: {out}")
    click.echo(f"Next:      cd {quoted(out)} && fx plan initialize && fx workspace export")
    click.echo("           and the desk's `certify init` and `enrol`: workspace/README.md, 2")


def complete_plan(
    path: Path,
    *,
    rounds: int | None = None,
    seed: int | None = None,
    changes: tuple[str, ...] = (),
    address: str | None = None,
    port: int | None = None,
) -> dict[str, Any]:
    """The plan with its defaults unfolded and every flag applied, checked.

    PlanError: it cannot be run; the message says where and why.
    """
    plan = plans.read(path)
    flags = {
        "aggregator.rounds_to_train": rounds,
        "task_runner.seed": seed,
        "network.agg_addr": address,
        "network.agg_port": port,
    }
    plans.change(plan, [f"{key}={value}" for key, value in flags.items() if value is not None])
    plans.change(plan, changes)
    rules.check(plan, name=str(path))
    return plan


def build_workspace(plan: dict[str, Any], out: Path) -> None:
    """Write the workspace `out`, whole or not at all.

    InputError: `out` exists, or the SBOM that would go with it is not of the locks.
    """
    if out.exists():
        raise InputError(f"{out} exists. Name another --out, or move it away.")
    sbom.check()
    part = out.with_name(f".{out.name}.part")
    shutil.rmtree(part, ignore_errors=True)  # of a process that was killed
    try:
        _write(plan, part)
        part.rename(out)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _write(plan: dict[str, Any], part: Path) -> None:
    for folder in FRAME:
        (part / folder).mkdir(parents=True, mode=0o700)
    shutil.copy2(ROOT / "workspace" / ".workspace", part)
    (part / "requirements.txt").write_text(locks.requirements(), encoding="utf-8")
    shutil.copytree(ROOT / "src", part / "src", ignore=shutil.ignore_patterns("__pycache__"))
    (part / "plan").mkdir()
    (part / "plan" / "plan.yaml").write_text(yaml.safe_dump(plan, sort_keys=True), encoding="utf-8")
    for name in ("cols.yaml", "data.yaml"):
        shutil.copy2(ROOT / "plan" / name, part / "plan" / name)
