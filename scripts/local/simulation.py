"""`simulate`: a whole federation on this machine, from data to report.

Nothing is simulated but the distance: every party is a real `fx` process with its own folder, key,
certificate and data, and they meet over mutual TLS.
"""

import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console

from scripts import options
from scripts.local import finished_run, fx, what_ran
from scripts.local.enrol import begin_ledgers, enrol
from scripts.local.live import FederationView
from scripts.local.processes import free_port, refuse_used_port, run_federation
from scripts.local.workspace import build_workspace, complete_plan
from scripts.partition.made import keep_summary
from scripts.partition.preparation import (
    PHANTOM,
    prepare_sites,
    progress_bar,
    site_folders,
    tell_findings,
)
from scripts.report.page import write_report
from src import names
from src.data.layouts import find_cases, read_dataset_yaml
from src.differential_privacy.ledger import VARIABLE as LEDGER
from src.errors import InputError, Refused
from src.plan import rules
from src.plan.view import Plan
from src.preflight.doctor import examine
from src.secure_aggregation.chosen import encryption_of
from src.secure_aggregation.mask_keys import VARIABLE as MEMORY
from src.secure_aggregation.mask_keys import memory_folder
from src.verbs.screen import Screen


def simulate(
    plan_path: Path,
    data: Path | None,
    kind: str | None,
    sites: int | None,
    rounds: int | None,
    seed: int | None,
    changes: tuple[str, ...],
    out: Path | None,
    cases: str,
    init: Path | None,
    timeout: float,
    overwrite: bool,
) -> None:
    """Run a whole federation on this machine, from data to report.

    Without --data it makes synthetic patients.
    """
    console = Screen(markup=True)
    began = time.monotonic()
    run = out or Path("runs") / plan_path.stem
    may_be_made(run, overwrite)
    given_port = any(change.startswith("network.agg_port=") for change in changes)
    plan = complete_plan(
        plan_path,
        rounds=rounds,
        seed=seed,
        changes=changes,
        address="localhost",
        port=None if given_port else free_port(),
    )
    port = Plan(plan).port
    refuse_used_port(port)
    _refuse_random_rest(plan, plan_path, init)
    refuse_names(data, run)
    make_room(run, overwrite)
    say = steps(console, began)

    with _apart(run), fx.forked(), _nothing_left_of_a_refusal(run):  # imports meanwhile
        say(f"[bold]data[/]       {data or 'synthetic patients'}")
        folders = _site_folders(console, run, data, kind, sites, cases, Plan(plan).seed)
        keep_summary(folders.values(), run)
        _cap_cases(plan, folders)
        say(f"[bold]workspace[/]  plan {plan_path.name}")
        aggregator = finished_run.workspace_of(run, "aggregator")
        build_workspace(plan, aggregator)
        workspaces = enrol(run, folders, lambda text: say(f"[bold]enrolment[/]  {text}"), init=init)
        if rules.is_private(plan):
            begin_ledgers(workspaces)
        say("[bold]doctor[/]     every party")
        _examine({"aggregator": aggregator} | workspaces)
        record = what_ran.record(run, plan_path, plan, folders)
        total = Plan(plan).rounds
        size = f"{len(workspaces)} sites, {total} rounds, mutual TLS on port {port}"
        say(f"[bold]federation[/] {size}")
        with FederationView(workspaces, total, console) as view:
            try:
                run_federation(aggregator, workspaces, port, timeout_s=timeout, watch=view.update)
            finally:
                record["seconds_total"] = round(time.monotonic() - began, 1)
                record["ledgers"] = what_ran.spent(run / "ledgers")
                (run / "run.json").write_text(json.dumps(record, indent=2), encoding="utf-8")
    _finish(console, run, say)


@contextmanager
def _apart(run: Path) -> Iterator[None]:
    """In the block the sites' ledgers lie beside the run, and their mask keys in a folder that goes
    with it.

    (At a hospital both lie outside the workspace, and the ledgers outlive every run.)
    """

    before = dict(os.environ)
    with tempfile.TemporaryDirectory(prefix="simulate-", dir=memory_folder()) as memory:
        os.environ |= {LEDGER: str((run / "ledgers").resolve()), MEMORY: memory}
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)


def _refuse_random_rest(plan: dict[str, Any], plan_path: Path, init: Path | None) -> None:
    """A private plan that tunes a part of the network adapts pretrained weights."""

    if init is None and rules.is_private(plan) and Plan(plan).trainable:
        raise InputError(
            f"{plan_path} tunes a part of the network, and the rest would stay random: it would "
            "learn nothing. Make initial weights of public or synthetic patients first:\n  "
            f"{options.python()} -m scripts pretrain --plan {options.quoted(plan_path)} "
            "--out runs/init.pt\n"
            "then pass --init runs/init.pt"
        )


def _cap_cases(plan: dict[str, Any], folders: dict[str, Path]) -> None:
    """Encrypted plans name the most cases that a site may have: here, those that it has.

    (In a consortium the desk agrees on these caps with the sites.) In a private plan all sites
    weigh the same. InputError: too few sites.
    """

    section = plan["compression_pipeline"]
    encryption = encryption_of(section)
    if encryption is not None:
        encryption.needed(len(folders))
    if encryption is not None and not rules.is_private(plan):
        settings = section.setdefault("settings", {})
        found = {
            name: len(find_cases(folder, read_dataset_yaml(folder).kind))
            for name, folder in folders.items()
        }
        settings["cases"] = found | dict(settings.get("cases") or {})


def _examine(workspaces: dict[str, Path]) -> None:
    """What each party's engineer would run before a start; the line cannot be tried yet.

    InputError: a party is not ready; every reason.
    """

    found = [
        f"{party}: {finding.rule}: {finding.text}"
        for party, workspace in workspaces.items()
        for finding in examine(
            workspace, None if party == "aggregator" else party, offline=True, train=False
        )
        if finding.state == "fail"
    ]
    if found:
        raise InputError("The federation is not ready:\n  " + "\n  ".join(found))


def _finish(console: Console, run: Path, say) -> None:

    say("[bold]report[/]")
    page = write_report(run)
    console.print(f"\nReport:      {page}", soft_wrap=True)
    console.print(f"Numbers:     {page.with_name('report.json')}", soft_wrap=True)
    console.print(f"Final model: {finished_run.final_model(run)}", soft_wrap=True)
    console.print(
        f"Next:        {options.python()} -m scripts evaluate --run {options.quoted(run)}",
        soft_wrap=True,
    )


def refuse_names(data: Path | None, run: Path) -> None:
    """InputError if a site folder's name cannot be enrolled, or the data lie where the run goes."""
    if data is None:
        return
    if run.resolve() in (data.resolve(), *data.resolve().parents):
        raise InputError(f"--data {data} lies in --out {run}, which would be replaced. Move it.")
    faults = []
    for site in site_folders(data):
        try:
            names.check_site(site)
        except InputError as error:
            faults.append(f"{data / site}: {error} Rename the folder.")
    if faults:
        raise InputError("\n".join(faults))


@contextmanager
def _nothing_left_of_a_refusal(run: Path) -> Iterator[None]:
    """Where data, plan or a party is refused before the federation starts, no run comes to be.

    (A process that fails keeps its folder: the logs lie there.)
    """
    try:
        yield
    except (InputError, Refused):
        if not (run / "run.json").is_file():
            shutil.rmtree(run, ignore_errors=True)
        raise


def make_room(run: Path, overwrite: bool, *, mark: str = "aggregator") -> None:
    """Take an earlier run away, if it may be. InputError: as `may_be_made`."""
    may_be_made(run, overwrite, mark=mark)
    if run.exists():
        shutil.rmtree(run)


def may_be_made(run: Path, overwrite: bool, *, mark: str = "aggregator") -> None:
    """An earlier run is replaced only if asked, and nothing that is not a run ever is.

    mark: the folder by which a run is known. InputError: there is a run, or something else.
    """
    if not run.exists():
        return
    if not overwrite:
        raise InputError(f"{run} exists. Name another --out, or pass --overwrite.")
    if any(run.iterdir()) and not (run / mark).is_dir() and not (run / "data").is_dir():
        raise InputError(f"{run} is not a run of this kit (no {mark}/): not replaced.")


def _site_folders(
    console: Console,
    run: Path,
    data: Path | None,
    kind: str | None,
    sites: int | None,
    cases: str,
    seed: int,
) -> dict[str, Path]:
    """Each site's data folder: found in `data`, or made under the run."""

    if data is not None:
        found = site_folders(data)
        if found and sites not in (None, len(found)):
            raise InputError(f"{data} holds {len(found)} site folders; leave --sites {sites} away.")
        if found:
            return found
    made = run / "data"
    try:
        with progress_bar(console) as tell:
            found = prepare_sites(
                made,
                data=data,
                kind=PHANTOM if data is None else kind,
                sites=sites,
                seed=seed,
                cases=cases,
                tell=tell,
            )
        tell_findings(console, found)
    finally:
        if run.is_dir() and not any(run.iterdir()):
            run.rmdir()
    return site_folders(made)


def steps(console: Console, began: float):
    """Prints a step with the seconds since the beginning."""

    def say(text: str) -> None:
        console.print(f"[dim]{time.monotonic() - began:6.1f} s[/]  {text}")

    return say
