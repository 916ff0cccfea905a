"""Divide a data set among site folders: every case is checked first, and it is all or nothing."""

import csv
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from scripts.partition.made import Made, in_numbers, volumes_of, write_summary
from src.data.clinical import FILE, Rows, read_clinical
from src.data.quality import Progress as Tell
from src.data.quality import silent
from src.errors import CaseError, InputError

if TYPE_CHECKING:
    from scripts.partition.strategies import Sites
    from scripts.partition.strategy import Strategy
    from src.data.case import CaseFiles
    from src.data.layouts import Dataset
    from src.data.quality import CaseFinding, Examined

FEW_CASES = 8  # up to here, starting processes takes longer than reading
MOST_READERS = 4  # processes that read cases; each needs about half a gigabyte


def site_folders(root: Path) -> dict[str, Path]:
    """The site folders that `prepare` made in `root`, by name; empty if it is something else."""
    from scripts.partition.site_names import in_order

    if not root.is_dir():
        raise InputError(f"--data {root}: no such folder.")
    found = {path.name: path for path in root.iterdir() if (path / "dataset.yaml").is_file()}
    return {name: found[name] for name in in_order(found) if not name.startswith(".")}


def divide(
    out: Path,
    *,
    data: Path,
    kind: str | None,
    sites: int | None,
    seed: int,
    partition: str = "round-robin",
    partial: bool = False,
    copy: bool = False,
    skip_bad: bool = False,
    tell: Tell = silent,
) -> Made:
    """Check every case of a data set and give each to a site.

    partition: "round-robin" among `sites` (None: up to three, as the patients allow), "folder"
    (each folder of `data` is a site), one of `strategy.STRATEGIES`, or the path of a CSV with
    Partition_ID,Subject_ID.
    partial: the CSV names more cases than were downloaded; its other rows are left out.
    InputError: everything that is wrong with the cases (unless skip_bad), with the clinical table
    and with the partition, in one message; `out` then does not come to be.
    """
    from scripts.partition import fets_csv
    from scripts.partition import strategies as partitions
    from scripts.partition.findings import notes_on, refusal
    from scripts.partition.strategy import strategy_of
    from src.data.layouts import scan_cases

    refuse_existing(out)
    unlike = strategy_of(partition)
    if partial and (unlike or partition in ("round-robin", "folder")):
        raise InputError(
            "--partial goes with --partition FILE.csv, whose other rows it leaves out."
        )
    dataset = _dataset(data, kind)
    cases, refused = scan_cases(data, dataset.kind)
    clinical = read_clinical(data)
    notes = notes_on(data, dataset.kind, cases, refused, clinical)
    faults = list(clinical.faults)
    members: Sites = {"": cases}  # where something is refused already, all else is still told
    # Without the refused cases there may be too few patients to deal out: that is no fault.
    if not unlike and (skip_bad or not refused or partition != "round-robin"):
        try:
            members = _partition(cases, data, partition, sites, seed, set(refused), partial, notes)
        except InputError as error:
            faults.append(str(error))
    examined, findings = _examine(members if not faults else {"": cases}, refused, tell)
    bad = {finding.case_id for finding in findings if finding.severity == "error"}
    if unlike and not faults and (skip_bad or not bad):
        good = [case for case in cases if case.case_id not in bad]
        try:
            members = _dealt(unlike, good, examined, clinical.rows, sites, seed)
        except InputError as error:
            faults.append(str(error))
    if faults or (bad and not skip_bad):
        total = len(cases) + len(refused)
        raise InputError(refusal(findings, faults, notes, 0 if skip_bad else len(bad), total))
    members = {site: [c for c in own if c.case_id not in bad] for site, own in members.items()}
    if partial:
        members = fets_csv.large_enough(members, notes)
    partitions.refuse_small(members)
    made = [in_numbers(site, examined, own, clinical.rows) for site, own in members.items()]
    with all_or_nothing(out) as part:
        for site, own in members.items():
            _write_site(part / site, own, dataset, clinical.rows, copy)
        apart = write_summary(part, made, {"partition": partition, "seed": seed})
    return Made(made, findings, notes, apart)


def _dealt(
    strategy: "Strategy",
    cases: "list[CaseFiles]",
    examined: "list[Examined]",
    rows: Rows,
    sites: int | None,
    seed: int,
) -> "Sites":
    """Every patient to a site by what is known of them. InputError: it cannot be."""
    from scripts.partition import strategies as partitions
    from scripts.partition.patients import patients_of
    from scripts.partition.site_names import site_names

    volumes = volumes_of(examined, {case.case_id for case in cases})
    whole = {case: regions["WT"] for case, regions in volumes.items()}
    patients = patients_of(cases, whole, rows)
    count = sites or strategy.sites or partitions.usual_count(cases)
    if len(patients) < partitions.FEWEST_PATIENTS * count:
        raise InputError(
            f"Expected at least {partitions.FEWEST_PATIENTS * count} patients for {count} sites, "
            f"found {len(patients)}. Lower --sites."
        )
    dealt = strategy.deal(patients, count, np.random.default_rng(seed))
    named = zip(site_names(count), dealt, strict=True)
    return {name: [case for patient in own for case in patient.cases] for name, own in named}


def refuse_existing(out: Path) -> None:
    """InputError if there is anything at `out`."""
    if out.exists() or out.is_symlink():
        raise InputError(f"{out} exists. Name another --out, or move it away.")


@contextmanager
def all_or_nothing(out: Path) -> Iterator[Path]:
    """A private folder beside `out` that takes its place at the end, or goes if anything fails."""
    new = [folder for folder in out.parents if not folder.exists()]  # the lowest first
    out.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        yield part
        refuse_existing(out)
        part.rename(out)
    finally:
        shutil.rmtree(part, ignore_errors=True)
        for folder in new:
            if not any(folder.iterdir()):
                folder.rmdir()


def _dataset(data: Path, kind: str | None) -> "Dataset":
    """Kind and whether synthetic: as said, as dataset.yaml says, and both must agree."""
    from src.data.kinds import KINDS
    from src.data.layouts import Dataset, read_dataset_yaml

    folders = [path.parent for path in (data / "dataset.yaml", *data.glob("*/dataset.yaml"))]
    said = [read_dataset_yaml(folder) for folder in folders if (folder / "dataset.yaml").is_file()]
    kinds = {dataset.kind for dataset in said} | ({kind} if kind else set())
    if not kinds:
        raise InputError(
            "--kind is missing. It says how the files are named and what the labels mean: one of "
            f"{', '.join(KINDS)}."
        )
    if len(kinds) > 1:
        asked = f"--kind says {kind}" if kind else "no --kind was given"
        raise InputError(
            f"{data}: expected one kind; {asked}, dataset.yaml there says "
            f"{' and '.join(sorted({dataset.kind for dataset in said}))}. Correct one of them."
        )
    return Dataset(kinds.pop(), any(dataset.synthetic for dataset in said))


def _partition(
    cases: "list[CaseFiles]",
    data: Path,
    partition: str,
    sites: int | None,
    seed: int,
    refused: set[str],
    partial: bool,
    notes: list[str],
) -> "Sites":
    from scripts.partition import fets_csv
    from scripts.partition import strategies as partitions
    from scripts.partition.strategy import STRATEGIES

    if partition == "round-robin":
        return partitions.round_robin(cases, sites or partitions.usual_count(cases), seed)
    if partition == "folder":
        notes += partitions.folders_without_cases(cases, data)
        return partitions.by_folder(cases, data)
    path = Path(partition)
    if not path.is_file():
        raise InputError(
            f"--partition: expected round-robin, folder, {', '.join(STRATEGIES)}, or a CSV file, "
            f"found {partition!r}."
        )
    return fets_csv.by_csv(cases, path, refused=refused, partial=partial, notes=notes)


def _examine(
    members: "Sites", refused: "dict[str, CaseError]", tell: Tell
) -> "tuple[list[Examined], list[CaseFinding]]":
    """Read every case, by id, so that of two equal ones the first stays wherever they are."""
    from src.data.quality import CaseFinding, assess_case, findings_of, in_order

    cases = sorted((c for own in members.values() for c in own), key=lambda case: case.case_id)
    examined = assess_case(cases, workers=_readers(len(cases)), progress=tell)
    findings = [CaseFinding(name, "error", str(error)) for name, error in refused.items()]
    return examined, in_order(findings + findings_of(examined))


def _readers(cases: int) -> int:
    return 1 if cases <= FEW_CASES else min(MOST_READERS, len(os.sched_getaffinity(0)))


def _write_site(
    folder: Path, cases: "list[CaseFiles]", dataset: "Dataset", rows: Rows, copy: bool
) -> None:
    """One site's folder: its cases under their grade, where there is one, and their rows."""
    from src.data.layouts import write_dataset_yaml

    for case in cases:
        target = folder / (case.grade or "") / case.folder.name
        target.parent.mkdir(parents=True, exist_ok=True)
        if copy:
            target.mkdir()
            for path in case.paths:
                shutil.copy2(path, target / path.name)
        else:
            target.symlink_to(case.folder.resolve(), target_is_directory=True)
    write_dataset_yaml(folder, dataset)
    own = [rows[case.case_id] for case in cases if case.case_id in rows]
    if own:
        columns = list(dict.fromkeys(column for row in own for column in row))
        with (folder / FILE).open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(own)
