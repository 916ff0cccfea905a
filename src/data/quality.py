"""Quality control: one pass over a data set's cases, before anything is built on them.

Errors refuse a case; warnings are for the eyes of whoever knows the patient.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from src.data.case import Case, CaseError, CaseFiles, read_case

SMALLEST_TUMOUR_MM3 = 500.0
SMALLEST_BRAIN_MM3 = 500_000.0
SPACING_MM = (0.4, 6.0)


@dataclass(frozen=True)
class Finding:
    """Something about a case. severity: "error" (must not be used) or "warning"."""

    case_id: str
    severity: str
    message: str


def inspect(
    cases: list[CaseFiles], progress: Callable[[int, int], None] = lambda done, total: None
) -> list[Finding]:
    """Read every case once. Errors: what `read_case` refuses, and one patient under two names."""
    findings: list[Finding] = []
    seen: dict[str, CaseFiles] = {}
    for done, files in enumerate(cases, start=1):
        try:
            case = read_case(files)
        except CaseError as error:
            findings.append(Finding(files.case_id, "error", str(error)))
        else:
            findings += [Finding(files.case_id, "warning", text) for text in _warnings(case)]
            findings += _duplicate(case, seen)
        progress(done, len(cases))
    return findings


def _duplicate(case: Case, seen: dict[str, CaseFiles]) -> list[Finding]:
    """The same voxels under another patient's name: train and test would share a person."""
    print_of = hashlib.sha256(np.ascontiguousarray(case.images[-1])).hexdigest()
    other = seen.setdefault(print_of, case.files)
    if other.patient_id == case.files.patient_id:
        return []
    text = (
        f"Case {case.files.case_id} has the same FLAIR voxels as {other.case_id}: one patient under "
        "two names. Keep one of them (collections overlap: MSD, TCGA, UPENN and UCSF are in BraTS)."
    )
    return [Finding(case.files.case_id, "error", text)]


def _warnings(case: Case) -> list[str]:
    voxel_mm3 = float(np.prod(case.spacing_mm))
    brain = case.images.any(axis=0)
    found = []
    if not all(SPACING_MM[0] <= edge <= SPACING_MM[1] for edge in case.spacing_mm):
        found.append(f"voxels of {case.spacing_mm} mm; expected {SPACING_MM[0]} to {SPACING_MM[1]}")
    if brain.sum() * voxel_mm3 < SMALLEST_BRAIN_MM3:
        found.append(f"the brain has {brain.sum() * voxel_mm3 / 1000:.0f} cm3; is it cut off?")
    if case.regions is not None:
        tumour_mm3 = case.regions[0].sum() * voxel_mm3
        if tumour_mm3 < SMALLEST_TUMOUR_MM3:
            found.append(f"the tumour has {tumour_mm3:.0f} mm3")
        outside = int((case.regions[0].astype(bool) & ~brain).sum())
        if outside:
            found.append(f"{outside} labelled voxels lie outside the brain")
    return found
