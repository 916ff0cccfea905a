"""The groups that membership inference compares: members, who were trained on, and others."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.local import finished_run
from scripts.partition.preparation import MOST_PHANTOMS
from scripts.report.evaluation import given_cases
from src.data.layouts import read_dataset_yaml
from src.data.phantom_site import site_for
from src.data.preprocess import PreparedCase, prepared
from src.data.public_cases import synthetic_case
from src.errors import InputError

STREAM = 0x6D656D62  # keeps newly made patients apart from all others with the same seed


@dataclass(frozen=True)
class Groups:
    """A site's cases.

    members: those on which the site has trained.
    held_out: the site's other cases.
    new: synthetic cases of the same hospital that were made for the attack.
    """

    members: Sequence[PreparedCase]
    held_out: Sequence[PreparedCase]
    new: Sequence[PreparedCase] = ()


def of_run(run: Path, plan: dict[str, Any], cache: Path, new: int, seed: int) -> dict[str, Groups]:
    """The groups of a run, as each site has split its own cases.

    Where the cases are synthetic, new ones of the same synthetic hospital are made.
    """
    groups = {}
    for name, data in finished_run.site_data(run, plan).items():
        members, held_out = (
            [prepared(files, cache) for files in part]
            for part in (data.train_files, data.validation_files)
        )
        hospital = hospital_of(finished_run.data_folders(run)[name], members + held_out)
        made = [] if hospital is None else list(patients(hospital, new, seed, like=members[0]))
        groups[name] = Groups(members, held_out, made)
    return groups


def hospital_of(folder: Path, cases: Iterable[PreparedCase]) -> int | None:
    """The synthetic hospital of all these cases; None for real ones, or for several hospitals.

    `prepare` numbers the cases of hospital i from 1000 i.
    """
    if not read_dataset_yaml(folder).synthetic:
        return None
    numbers = {re.search(r"\d+(?=\D*$)", case.patient_id) for case in cases}
    hospitals = {int(found.group()) // MOST_PHANTOMS for found in numbers if found}
    return hospitals.pop() if len(hospitals) == 1 else None


def patients(hospital: int, count: int, seed: int, *, like: PreparedCase) -> Iterator[PreparedCase]:
    """New patients of a synthetic hospital, on the grid of `like`."""
    for number in range(count):
        yield synthetic_case(
            f"new-{hospital}-{number}",
            [STREAM, seed, hospital, number],
            site=site_for(hospital),
            shape=like.full_shape,
            spacing_mm=like.spacing_mm[0],
        )


def given(members: Path, others: Path, kind: str | None, cache: Path) -> dict[str, Groups]:
    """The groups in two folders that hold the same site folders, or the cases of one site each.

    InputError: a site has only members or only others, or a patient is on both sides.
    """
    sides = [given_cases(folder, kind) for folder in (members, others)]
    if all(len(side) == 1 for side in sides):
        (name,) = sides[0]
        sides = [{name: files} for side in sides for files in side.values()]
    if sides[0].keys() != sides[1].keys():
        raise InputError(
            f"Members and others are compared within a site: {members} holds "
            f"{', '.join(sides[0])}, {others} holds {', '.join(sides[1])}. Give the same sites."
        )
    groups = {}
    for name in sides[0]:
        ours, theirs = ([prepared(files, cache) for files in side[name]] for side in sides)
        both = {case.patient_id for case in ours} & {case.patient_id for case in theirs}
        if both:
            raise InputError(f"{name}: {len(both)} patients are members and others at once.")
        groups[name] = Groups(ours, theirs)
    return groups
