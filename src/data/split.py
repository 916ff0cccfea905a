"""Split a site's cases by patient into those for training and those for validation."""

import hashlib

from src.data.case import CaseFiles
from src.errors import InputError


def split_by_patient(
    files: list[CaseFiles], validation_fraction: float, seed: int
) -> tuple[list[CaseFiles], list[CaseFiles]]:
    """(training, validation) cases; all scans of one patient are on the same side.

    The order of patients is that of SHA-256(seed, patient id), so a patient who is added later
    moves at most one other patient across.
    InputError: fewer than two patients.
    """
    patients = sorted(
        {case.patient_id for case in files},
        key=lambda patient: hashlib.sha256(f"{seed}/{patient}".encode()).digest(),
    )
    if len(patients) < 2:
        raise InputError(
            f"A site needs at least 2 patients, one to train on and one to validate; found "
            f"{len(patients)}: {', '.join(patients)}."
        )
    kept = min(max(1, round(validation_fraction * len(patients))), len(patients) - 1)
    validation = set(patients[:kept])
    return (
        [case for case in files if case.patient_id not in validation],
        [case for case in files if case.patient_id in validation],
    )


def split_independently(
    files: list[CaseFiles], validation_fraction: float, seed: int
) -> tuple[list[CaseFiles], list[CaseFiles]]:
    """(training, validation) cases; SHA-256(seed, patient id) alone decides for each patient.

    So one patient more or fewer changes one of the two sets, by that patient, and the guarantee of
    differential privacy per patient is about all of the site's patients. A small site may have
    nobody to validate on.
    InputError: nobody is left to train on.
    """

    def validates(patient: str) -> bool:
        drawn = hashlib.sha256(f"{seed}/{patient}".encode()).digest()
        return int.from_bytes(drawn[:8], "big") < validation_fraction * 2**64

    training = [case for case in files if not validates(case.patient_id)]
    if not training:
        raise InputError(
            f"None of the {len(files)} cases falls to training. Lower "
            "data_loader.validation_fraction, or add patients."
        )
    return training, [case for case in files if validates(case.patient_id)]


SPLITS = {"balanced": split_by_patient, "independent": split_independently}
