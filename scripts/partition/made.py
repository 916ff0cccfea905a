"""What a partition has made: its sites in numbers, and how unlike they are; as JSON and picture."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from src.data.clinical import Rows
from src.files import write_atomically

if TYPE_CHECKING:
    from scripts.partition.differences import Distance
    from scripts.partition.patients import Patient
    from src.data.case import CaseFiles
    from src.data.quality import CaseFinding, Examined

NUMBERS, PICTURE = "partition.json", "partition.png"


@dataclass(frozen=True)
class SiteMade:
    """One site in numbers.

    volumes_ml: means of WT, TC, ET over its cases. median_age: None where a patient's is unknown.
    members: its patients, who are in no file that is written.
    """

    name: str
    patients: int
    cases: int
    grades: dict[str, int]
    volumes_ml: dict[str, float]
    median_age: float | None = None
    members: "tuple[Patient, ...]" = ()


@dataclass(frozen=True)
class Made:
    """The site folders that came to be, and what was found without stopping.

    findings: about single cases. notes: about the data folder, its tables and its partition.
    distances: between the sites, by property.
    """

    sites: list[SiteMade]
    findings: "list[CaseFinding]"
    notes: list[str]
    distances: "Mapping[str, Distance]" = field(default_factory=dict)


def in_numbers(
    name: str, examined: "list[Examined]", cases: "list[CaseFiles]", rows: Rows
) -> SiteMade:
    """A site's row of the table."""
    from scripts.partition.patients import patients_of

    ids = {case.case_id for case in cases}
    volumes = volumes_of(examined, ids)
    grades = Counter(
        case.grade or rows.get(case.case_id, {}).get("grade") or "unknown" for case in cases
    )
    whole = {case: regions["WT"] for case, regions in volumes.items()}
    members = patients_of(cases, whole, rows)
    ages = [patient.age for patient in members]
    known = [age for age in ages if age is not None]
    return SiteMade(
        name,
        len(members),
        len(cases),
        dict(sorted(grades.items())),
        _means(list(volumes.values())),
        float(np.median(known)) if len(known) == len(ages) else None,
        tuple(members),
    )


def volumes_of(examined: "list[Examined]", ids: set[str]) -> dict[str, dict[str, float]]:
    """The regions' volumes in ml of these cases, by case."""
    return {
        case.files.case_id: case.volumes_ml
        for case in examined
        if case.files.case_id in ids and case.volumes_ml
    }


def write_summary(folder: Path, sites: Sequence[SiteMade], how: Mapping[str, Any]) -> dict:
    """Write partition.json and partition.png; return the distances between the sites.

    how: the strategy and its seed. The picture shows each patient as a dot: it stays where the
    data are.
    """
    from scripts.partition.differences import distances
    from scripts.partition.figure import partition_figure
    from scripts.report.page import as_png

    members = {site.name: site.members for site in sites}
    found = distances(members)
    numbers = {
        **how,
        "sites": [
            {key: value for key, value in vars(site).items() if key != "members"} for site in sites
        ],
        "distances": {name: asdict(distance) for name, distance in found.items()},
    }
    write_atomically(folder / NUMBERS, json.dumps(numbers, indent=1))
    write_atomically(folder / PICTURE, as_png(partition_figure(members, found)))
    return found


def keep_summary(folders: Iterable[Path], run: Path) -> None:
    """Copy what the partition that made these site folders has written into a run's folder."""
    for folder in {folder.parent for folder in folders}:
        for name in (NUMBERS, PICTURE):
            if (folder / name).is_file():
                write_atomically(run / name, (folder / name).read_bytes())


def _means(volumes: list[dict[str, float]]) -> dict[str, float]:
    return {region: sum(v[region] for v in volumes) / len(volumes) for region in volumes[0]}
