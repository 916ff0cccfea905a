"""`prepare`: site folders from a data set, or from nothing (synthetic patients)."""

import shutil
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

import click
import yaml
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from scripts import options

if TYPE_CHECKING:
    from src.data.case import CaseFiles
    from src.data.quality import Finding

PHANTOM = "phantom"
DEFAULT_SITES = 3
PROCESSES = 2
Tell = Callable[[int, int], None]


@click.command()
@options.data
@click.option("--kind", help="Data set: brats2018 … brats2024, fets2022; or phantom.")
@options.sites
@options.seed
@options.out
@click.option(
    "--partition",
    default="round-robin",
    show_default=True,
    help="round-robin, folder (each folder in --data is a site), or a Partition_ID,Subject_ID CSV.",
)
@click.option("--copy", is_flag=True, help="Copy the cases instead of linking to them.")
@click.option("--skip-bad", is_flag=True, help="Leave refused cases out instead of stopping.")
@click.option(
    "--cases", default="24", show_default=True, help="phantom: patients a site, or 24,16,20."
)
@click.option("--size", default=64, show_default=True, help="phantom: voxels along each axis.")
@click.option("--spacing", default=2.75, show_default=True, help="phantom: voxel edge in mm.")
def prepare(
    data: Path | None,
    kind: str | None,
    sites: int | None,
    seed: int | None,
    out: Path | None,
    partition: str,
    copy: bool,
    skip_bad: bool,
    cases: str,
    size: int,
    spacing: float,
) -> None:
    """Make site folders from a data set, or synthetic patients (--kind phantom)."""
    console = Console(highlight=False)
    if out is None:
        raise click.UsageError("--out is missing: where shall the site folders go?")
    with _bar(console) as tell:
        if kind == PHANTOM:
            make_phantoms(out, sites or DEFAULT_SITES, cases, seed or 0, size, spacing, tell)
        elif data is None:
            raise click.UsageError("--data is missing. For synthetic patients: --kind phantom.")
        else:
            warnings = divide(
                out,
                data=data,
                kind=kind,
                sites=sites or DEFAULT_SITES,
                seed=seed or 0,
                partition=partition,
                copy=copy,
                skip_bad=skip_bad,
                tell=tell,
            )
            for finding in warnings:
                console.print(f"[yellow]{finding.severity}[/] {finding.case_id}: {finding.message}")
    console.print(_table(out))
    console.print(f"Site folders: {out}")
    console.print(f"Next:         python -m scripts simulate --data {out}")


def site_folders(root: Path) -> dict[str, Path]:
    """The site folders that `prepare` made in `root`, by name; empty if it is something else."""
    if not root.is_dir():
        raise FileNotFoundError(f"--data {root}: no such folder.")
    found = {path.name: path for path in root.iterdir() if (path / "dataset.yaml").is_file()}
    from src.data.partition import in_order

    return {name: found[name] for name in in_order(found)}


def divide(
    out: Path,
    *,
    data: Path,
    kind: str | None,
    sites: int,
    seed: int,
    partition: str = "round-robin",
    copy: bool = False,
    skip_bad: bool = False,
    tell: Tell = lambda done, total: None,
) -> "list[Finding]":
    """Check every case of a data set and give each to a site; the findings that did not stop it.

    All or nothing: ValueError lists what is wrong and `out` does not come to be.
    """
    from src.data import partition as partitions
    from src.data.layouts import find_cases, layout_of
    from src.data.quality import inspect

    layout_of(kind)
    assert kind is not None
    _refuse_existing(out)
    cases = find_cases(data, kind)
    findings = inspect(cases, tell)
    bad = {finding.case_id for finding in findings if finding.severity == "error"}
    if bad and not skip_bad:
        listed = "\n".join(f"  - {f.message}" for f in findings if f.severity == "error")
        raise ValueError(
            f"{len(bad)} of {len(cases)} cases are refused, nothing was written:\n{listed}\n"
            "Mend them, or leave them out with --skip-bad."
        )
    cases = [case for case in cases if case.case_id not in bad]
    if partition == "folder":
        by_site = partitions.by_folder(cases, data)
    elif partition == "round-robin":
        by_site = partitions.round_robin(cases, sites, seed)
    else:
        by_site = partitions.by_csv(cases, Path(partition))
    part = _part(out)
    for site, members in by_site.items():
        _write_site(part / site, members, data, kind, copy)
    part.rename(out)
    return findings


def make_phantoms(
    out: Path,
    sites: int,
    cases: str,
    seed: int,
    size: int = 64,
    spacing_mm: float = 2.75,
    tell: Tell = lambda done, total: None,
) -> None:
    """Synthetic patients for `sites` sites; `cases` is a number, or one for each site: 24,16,20."""
    from src.data.partition import site_names

    _refuse_existing(out)
    numbers = [int(number) for number in cases.split(",")]
    numbers = numbers * sites if len(numbers) == 1 else numbers
    if len(numbers) != sites:
        raise ValueError(f"--cases {cases} gives {len(numbers)} numbers for {sites} sites.")
    part = _part(out)
    done = 0
    with ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn")) as pool:
        jobs = [
            pool.submit(_phantom_site, part / name, index, number, seed, size, spacing_mm)
            for index, (name, number) in enumerate(zip(site_names(sites), numbers, strict=True))
        ]
        for job, number in zip(jobs, numbers, strict=True):
            job.result()
            done += number
            tell(done, sum(numbers))
    part.rename(out)


def _phantom_site(
    folder: Path, index: int, cases: int, seed: int, size: int, spacing_mm: float
) -> None:
    from src.data.phantom import site_for, write_site

    write_site(
        folder,
        site=site_for(index),
        cases=cases,
        seed=seed,
        shape=(size, size, size),
        spacing_mm=spacing_mm,
    )


def _write_site(folder: Path, cases: "list[CaseFiles]", data: Path, kind: str, copy: bool) -> None:
    """One site's folder: its cases under their grade, where there is one, and dataset.yaml."""
    from src.data.layouts import read_dataset_yaml

    known = (data / "dataset.yaml").is_file()
    synthetic = read_dataset_yaml(data).synthetic if known else False
    for case in cases:
        source = case.sequences["t1"].parent
        target = folder / (case.grade or "") / case.case_id
        target.parent.mkdir(parents=True, exist_ok=True)
        if copy:
            shutil.copytree(source, target)
        else:
            target.symlink_to(source.resolve(), target_is_directory=True)
    (folder / "dataset.yaml").write_text(yaml.safe_dump({"kind": kind, "synthetic": synthetic}))


def _refuse_existing(out: Path) -> None:
    if out.exists():
        raise FileExistsError(f"{out} exists. Name another --out, or move it away.")


def _part(out: Path) -> Path:
    part = out.with_name(f".{out.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    return part


class _bar:
    """A progress bar that a `Tell` moves."""

    def __init__(self, console: Console) -> None:
        self.progress = Progress(
            TextColumn("cases"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
        )

    def __enter__(self) -> Tell:
        self.progress.start()
        task = self.progress.add_task("cases", total=None)
        return lambda done, total: self.progress.update(task, completed=done, total=total)

    def __exit__(self, *_) -> None:
        self.progress.stop()


def _table(out: Path) -> Table:
    from src.data.layouts import find_cases, read_dataset_yaml

    table = Table(box=None, pad_edge=False)
    for title in ("site", "patients", "cases", "grades", "kind"):
        table.add_column(title, justify="right" if title in ("patients", "cases") else "left")
    for name, folder in site_folders(out).items():
        dataset = read_dataset_yaml(folder)
        cases = find_cases(folder, dataset.kind)
        grades = Counter(case.grade for case in cases if case.grade)
        table.add_row(
            name,
            str(len({case.patient_id for case in cases})),
            str(len(cases)),
            " ".join(f"{grade} {count}" for grade, count in sorted(grades.items())) or "not given",
            dataset.kind + (" (synthetic)" if dataset.synthetic else ""),
        )
    return table
