"""`prepare`: site folders from a data set, or from nothing (synthetic patients)."""

from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.queues import SimpleQueue
from pathlib import Path

import click
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from scripts import options
from scripts.partition.divide import (
    Tell,
    all_or_nothing,
    divide,
    refuse_existing,
    silent,
    site_folders,
)
from scripts.partition.made import PICTURE, Made, SiteMade, in_numbers, write_summary
from scripts.partition.phantom_files import write_site
from scripts.partition.site_names import site_names
from scripts.partition.strategy import strategy_of
from src import require
from src.data.clinical import read_clinical
from src.data.layouts import find_cases
from src.data.phantom_site import site_for
from src.data.quality import assess_case, findings_of
from src.errors import InputError
from src.verbs.screen import Screen

__all__ = ["DEFAULT_SITES", "divide", "make_phantoms", "prepare_sites", "site_folders"]

PHANTOM = "phantom"
SMALLEST_SIZE = 16  # voxels; the brain and its tumour need some
MOST_PHANTOMS = 1000  # a site; site i numbers its patients from 1000 i, so that no two share an id
DEFAULT_SITES = 3  # of synthetic patients
PROCESSES = 2

_ticks: SimpleQueue | None = None  # of a process of the pool


def prepare(
    data: Path | None,
    kind: str | None,
    sites: int | None,
    seed: int | None,
    out: Path | None,
    partition: str,
    partial: bool,
    copy: bool,
    skip_bad: bool,
    cases: str,
    size: int,
    spacing: float,
) -> None:
    """Make site folders from a data set, or of synthetic patients (--kind phantom, no --data).

    Every case is read and checked first. If one is refused, nothing is written.
    """
    if out is None:
        raise click.UsageError("--out is missing: where shall the site folders go?")
    console = Screen(markup=True)
    with progress_bar(console) as tell:
        made = prepare_sites(
            out,
            data=data,
            kind=kind,
            sites=sites,
            seed=seed or 0,
            partition=partition,
            partial=partial,
            copy=copy,
            skip_bad=skip_bad,
            cases=cases,
            size=size,
            spacing_mm=spacing,
            tell=tell,
        )
    _show(console, made, out)


def prepare_sites(
    out: Path,
    *,
    data: Path | None = None,
    kind: str | None = None,
    sites: int | None = None,
    seed: int = 0,
    partition: str = "round-robin",
    partial: bool = False,
    copy: bool = False,
    skip_bad: bool = False,
    cases: str = "24",
    size: int = 64,
    spacing_mm: float = 2.75,
    tell: Tell = silent,
) -> Made:
    """What the verb does: `make_phantoms` for kind "phantom", else `divide`."""
    if kind == PHANTOM and data is None:
        return make_phantoms(out, sites, cases, seed, size, spacing_mm, tell)
    if data is None:
        raise InputError(f"--data is missing. For synthetic patients: --kind {PHANTOM}.")
    if sites is not None and partition != "round-robin" and strategy_of(partition) is None:
        raise InputError(f"--partition {partition} says which sites there are; leave --sites away.")
    return divide(
        out,
        data=data,
        kind=kind,
        sites=sites,
        seed=seed,
        partition=partition,
        partial=partial,
        copy=copy,
        skip_bad=skip_bad,
        tell=tell,
    )


def make_phantoms(
    out: Path,
    sites: int | None,
    cases: str,
    seed: int,
    size: int = 64,
    spacing_mm: float = 2.75,
    tell: Tell = silent,
) -> Made:
    """Synthetic patients, each site with a scanner and a population of its own.

    cases: a number, or one for each site: 24,16,20. All or nothing, as `divide`.
    """

    refuse_existing(out)
    require.whole("--size", size, at_least=SMALLEST_SIZE)
    require.positive("--spacing", spacing_mm)
    numbers = _numbers(cases, sites)
    seeds = np.random.SeedSequence(seed).generate_state(len(numbers)).tolist()
    context = get_context("spawn")
    # A pipe: a Manager's socket has a path below TMPDIR, of 107 characters at most (sun_path)
    ticks = context.SimpleQueue()
    with all_or_nothing(out) as part:
        pool = ProcessPoolExecutor(PROCESSES, context, _tick_into, (ticks,))
        try:
            jobs = [
                pool.submit(_phantom_site, part / name, index, number, site_seed, size, spacing_mm)
                for index, (name, number, site_seed) in enumerate(
                    zip(site_names(len(numbers)), numbers, seeds, strict=True)
                )
            ]
            _watch(jobs, ticks, sum(numbers), tell)
        finally:
            pool.shutdown(cancel_futures=True)
            ticks.close()
        made = [job.result() for job in jobs]
        apart = write_summary(part, made, {"partition": "synthetic hospitals", "seed": seed})
        return Made(made, [], [], apart)


def _numbers(cases: str, sites: int | None) -> list[int]:
    """Patients of each site."""
    words = cases.split(",")
    if not all(word.strip().isdecimal() and 2 <= int(word) <= MOST_PHANTOMS for word in words):
        raise InputError(
            f"--cases: expected a number from 2 (one patient trains, one validates) to "
            f"{MOST_PHANTOMS}, or one for each site as in 24,16,20; found {cases!r}."
        )
    numbers = [int(word) for word in words]
    if len(numbers) == 1:
        return numbers * (sites or DEFAULT_SITES)
    if sites not in (None, len(numbers)):
        raise InputError(f"--cases {cases} gives {len(numbers)} numbers for {sites} sites.")
    return numbers


def _tick_into(ticks: SimpleQueue) -> None:
    """In a process of the pool, once: where `_phantom_site` tells of each case."""
    global _ticks
    _ticks = ticks


def _phantom_site(
    folder: Path, index: int, cases: int, seed: int, size: int, spacing_mm: float
) -> SiteMade:
    """In a process of the pool: write one site and look at what was written."""

    write_site(
        folder,
        site=site_for(index),
        cases=cases,
        seed=seed,
        shape=(size, size, size),
        spacing_mm=spacing_mm,
        first=MOST_PHANTOMS * index,
        kind=PHANTOM,
        progress=lambda *_: _ticks and _ticks.put(None),
    )
    files = find_cases(folder, PHANTOM)
    examined = assess_case(files)
    errors = [f.message for f in findings_of(examined) if f.severity == "error"]
    if errors:
        raise InputError(
            f"Site {folder.name}: phantoms of {size} voxels of {spacing_mm} mm are no usable "
            f"patients. Change --size or --spacing.\n" + "\n".join(errors)
        )
    return in_numbers(folder.name, examined, files, read_clinical(folder).rows)


def _watch(jobs: list[Future], ticks: SimpleQueue, total: int, tell: Tell) -> None:
    """Tell of every case made until all jobs are done; the first job that fails raises here."""
    pending, done = set(jobs), 0
    while pending:
        finished, pending = wait(pending, timeout=0.2, return_when=FIRST_COMPLETED)
        for job in finished:
            job.result()
        while not ticks.empty():
            ticks.get()
            done += 1
        tell(done, total)


@contextmanager
def progress_bar(console: Console) -> Iterator[Tell]:
    """A bar that a `Tell` moves."""
    columns = (TextColumn("cases"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    hidden = not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=hidden) as progress:
        task = progress.add_task("cases", total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def tell_findings(console: Console, made: Made) -> None:
    """Print what was found about the data without stopping."""
    for note in made.notes:
        console.print(f"note: {note}", style="yellow", markup=False, soft_wrap=True)
    for finding in made.findings:
        word = "left out" if finding.severity == "error" else "warning"
        console.print(f"{word}: {finding.message}", style="yellow", markup=False, soft_wrap=True)


def _show(console: Console, made: Made, out: Path) -> None:
    tell_findings(console, made)
    table = Table(box=None, pad_edge=False)
    for title in ("site", "patients", "cases", "grades", "age", "WT ml", "TC ml", "ET ml"):
        words = title in ("site", "grades")
        table.add_column(title, justify="left" if words else "right", no_wrap=not words)
    for site in made.sites:
        grades = ", ".join(f"{count} {grade}" for grade, count in site.grades.items())
        age = "–" if site.median_age is None else f"{site.median_age:.0f}"
        volumes = (f"{volume:.1f}" for volume in site.volumes_ml.values())
        table.add_row(site.name, str(site.patients), str(site.cases), grades, age, *volumes)
    console.print(table)
    for name, apart in made.distances.items():
        console.print(
            f"sites differ in {name} by {apart.mean:.2f}, the furthest pair by {apart.most:.2f}; "
            f"dealt at random it would be {apart.floor:.2f}",
            soft_wrap=True,
        )
    console.print(f"\nSite folders: {out}", markup=False, soft_wrap=True)
    console.print(f"Picture:      {out / PICTURE}", markup=False, soft_wrap=True)
    following = f"{options.python()} -m scripts simulate --data {options.quoted(out)}"
    console.print(f"Next:         {following}", markup=False, soft_wrap=True)
