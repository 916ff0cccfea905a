"""What the strategies of a partition know of each patient: properties by which sites can differ."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from src.data.case import CaseFiles
from src.errors import InputError

MOST_NAMED = 8
OLDEST = 130  # years; nan and inf are numbers, too, and no ages
Row = Mapping[str, str]
Value = float | str


@dataclass(frozen=True)
class Patient:
    """A patient with all of their cases, which stay together.

    volume_ml: of the whole tumour, mean over the cases.
    grade, scanner: as the data set's folders or the clinical table say.
    age: in years. None: nobody says.
    """

    patient_id: str
    cases: tuple[CaseFiles, ...]
    volume_ml: float | None = None
    grade: str | None = None
    age: float | None = None
    scanner: str | None = None


PROPERTIES = ("volume", "grade", "age", "scanner")
FIELD = {"volume": "volume_ml", "grade": "grade", "age": "age", "scanner": "scanner"}
SOURCE = {
    "volume": "a label",
    "grade": "a folder HGG or LGG, or a column `grade` in clinical.csv",
    "age": "a column `age` in clinical.csv, in years",
    "scanner": "a column `scanner` in clinical.csv",
}


def patients_of(
    cases: Sequence[CaseFiles], volumes_ml: Mapping[str, float], rows: Mapping[str, Row]
) -> list[Patient]:
    """The patients of some cases, in the order of their ids.

    volumes_ml: of the whole tumour, by case; may be empty. rows: of the clinical table, by case.
    InputError: an age that is none.
    """
    by_patient: dict[str, list[CaseFiles]] = {}
    for case in sorted(cases, key=lambda case: case.case_id):
        by_patient.setdefault(case.patient_id, []).append(case)
    return [_patient(patient, own, volumes_ml, rows) for patient, own in sorted(by_patient.items())]


def value(patient: Patient, name: str) -> Value | None:
    """A patient's property, by its name in PROPERTIES."""
    return getattr(patient, FIELD[name])


def known(patients: Sequence[Patient], name: str) -> list[Value]:
    """The property of every patient. InputError: some patients have none, or all have the same."""
    found = [value(patient, name) for patient in patients]
    unknown = [p.patient_id for p, known in zip(patients, found, strict=True) if known is None]
    if unknown:
        raise InputError(
            f"--partition by {name}: {len(unknown)} of {len(patients)} patients have none: "
            f"{listed(unknown)}. Each case needs {SOURCE[name]}."
        )
    if len(set(found)) == 1:
        raise InputError(
            f"--partition by {name}: all {len(patients)} patients have the same, {found[0]}: "
            "sites cannot differ in it. Choose another property."
        )
    return [known for known in found if known is not None]


def listed(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more


def _patient(
    patient: str,
    cases: list[CaseFiles],
    volumes_ml: Mapping[str, float],
    rows: Mapping[str, Row],
) -> Patient:
    own = [rows.get(case.case_id, {}) for case in cases]
    volumes = [volumes_ml[case.case_id] for case in cases if case.case_id in volumes_ml]
    ages = [_age(patient, row["age"]) for row in own if (row.get("age") or "").strip()]
    grades = [
        case.grade or said
        for case, row in zip(cases, own, strict=True)
        if (said := (row.get("grade") or "").strip().upper() or case.grade)
    ]
    scanners = [said for row in own if (said := (row.get("scanner") or "").strip())]
    return Patient(
        patient,
        tuple(cases),
        sum(volumes) / len(volumes) if volumes else None,
        grades[0] if grades else None,
        ages[0] if ages else None,
        scanners[0] if scanners else None,
    )


def _age(patient: str, text: str) -> float:
    try:
        age = float(text.replace(",", "."))
    except ValueError:
        age = math.nan
    if not 0 <= age <= OLDEST:
        raise InputError(
            f"clinical.csv: patient {patient}: expected an age of 0 to {OLDEST} years, found "
            f"{text!r}. Correct it, or leave the cell empty."
        )
    return age
