"""Quality control: one pass over a data set's cases, before anything is built on them.

Errors refuse a case; warnings are for somebody who knows the patient.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Literal

import numpy as np

from src.data.case import SEQUENCES, Case, CaseFiles, read_case
from src.data.layouts import scan_cases
from src.data.regions import REGIONS
from src.errors import CaseError

SMALLEST_TUMOUR_ML = 0.5
SMALLEST_BRAIN_MM = 80.0  # edge of the brain's box; adults measure about 140 x 170 x 130 mm
SPACING_MM = (0.4, 4.0)
LARGEST_FILLED = 0.9  # share of voxels that are not 0; skull-stripped images have background
LARGEST_OUTSIDE = 0.001  # share of the tumour outside the brain

Progress = Callable[[int, int], None]


def silent(done: int, total: int) -> None:
    """A `Progress` that shows nothing."""


@dataclass(frozen=True)
class CaseFinding:
    """Something that was found about a case; the message names the case.

    severity: "error" (the case must not be used) or "warning".
    """

    case_id: str
    severity: Literal["error", "warning"]
    message: str


@dataclass(frozen=True)
class Examined:
    """The results of reading a case once.

    findings: about this case alone.
    voxels_sha256: of the FLAIR's shape and voxels; "" if the case is refused.
    volumes_ml: of WT, TC, ET; None without a label or if the case is refused.
    """

    files: CaseFiles
    findings: tuple[CaseFinding, ...]
    voxels_sha256: str = ""
    spacing_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    volumes_ml: dict[str, float] | None = None


def inspect_folder(
    root: Path, kind: str, *, labelled: bool = True, workers: int = 1, progress: Progress = silent
) -> list[CaseFinding]:
    """All findings about the cases of a data set folder, errors first; empty when all is well.

    InputError: there is no case of this kind at all.
    """
    cases, refused = scan_cases(root, kind, labelled=labelled)
    findings = [CaseFinding(name, "error", str(error)) for name, error in refused.items()]
    return in_order(findings + findings_of(assess_case(cases, workers=workers, progress=progress)))


def assess_case(
    cases: list[CaseFiles], *, workers: int = 1, progress: Progress = silent
) -> list[Examined]:
    """Read every case once, in `workers` processes (about 0.5 GB each for 240 x 240 x 155)."""
    examined: list[Examined] = []

    def collect(results: Iterable[Examined]) -> list[Examined]:
        for result in results:
            examined.append(result)
            progress(len(examined), len(cases))
        return examined

    if workers == 1:
        return collect(map(examine_case, cases))
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        return collect(pool.map(examine_case, cases))


def findings_of(examined: list[Examined]) -> list[CaseFinding]:
    """The findings of every case, and those that only appear when all cases are compared."""
    own = [finding for case in examined for finding in case.findings]
    whole = [case for case in examined if case.voxels_sha256]
    return own + _duplicates(whole) + _odd_one_out(whole)


def in_order(findings: Iterable[CaseFinding]) -> list[CaseFinding]:
    """Errors first, each severity sorted by case."""
    return sorted(findings, key=lambda f: (f.severity, f.case_id, f.message))


def examine_case(files: CaseFiles) -> Examined:
    """Read one case and check it."""
    try:
        case = read_case(files)
    except CaseError as error:
        return Examined(files, (CaseFinding(files.case_id, "error", str(error)),))
    brain = case.brain
    texts = [*_brain_warnings(case, brain), *_label_warnings(case, brain)]
    flair = np.ascontiguousarray(case.images[SEQUENCES.index("flair")])
    digest = hashlib.sha256(str(flair.shape).encode())
    digest.update(flair.data)
    return Examined(
        files,
        tuple(
            CaseFinding(case.case_id, "warning", f"Case {case.case_id}: {text}") for text in texts
        ),
        digest.hexdigest(),
        case.spacing_mm,
        _volumes_ml(case),
    )


def _volumes_ml(case: Case) -> dict[str, float] | None:
    if case.regions is None:
        return None
    voxel_ml = float(np.prod(case.spacing_mm)) / 1000
    return {
        name: float(np.count_nonzero(region)) * voxel_ml
        for name, region in zip(REGIONS, case.regions, strict=True)
    }


def _brain_warnings(case: Case, brain: np.ndarray) -> list[str]:
    """What looks wrong about voxel size, brain size and background."""
    found = []
    if not all(SPACING_MM[0] <= edge <= SPACING_MM[1] for edge in case.spacing_mm):
        found.append(
            f"expected voxel edges of {SPACING_MM[0]:g} to {SPACING_MM[1]:g} mm, found "
            f"{_edges(case.spacing_mm)}; is the header right?"
        )
    box = [
        np.ptp(np.flatnonzero(brain.any(axis=others))) + 1 for others in ((1, 2), (0, 2), (0, 1))
    ]
    edges = [float(count) * edge for count, edge in zip(box, case.spacing_mm, strict=True)]
    if min(edges) < SMALLEST_BRAIN_MM:
        found.append(
            f"expected a brain of at least {SMALLEST_BRAIN_MM:g} mm along each axis, found "
            f"{_edges(edges)}; is it cut off?"
        )
    if brain.mean() > LARGEST_FILLED:
        found.append(
            f"expected background of value 0, found {brain.mean():.0%} of the voxels not 0; is the "
            "skull removed?"
        )
    return found


def _label_warnings(case: Case, brain: np.ndarray) -> list[str]:
    """What looks wrong about the tumour: absent, tiny, or outside the brain."""
    volumes = _volumes_ml(case)
    if case.regions is None or volumes is None:
        return []
    if not volumes["WT"]:
        return ["the label shows no tumour."]
    found = []
    if volumes["WT"] < SMALLEST_TUMOUR_ML:
        found.append(f"the tumour is tiny: {volumes['WT']:.2f} ml.")
    tumour = case.regions[0].astype(bool)
    outside = int(np.count_nonzero(tumour & ~brain))
    if outside > LARGEST_OUTSIDE * np.count_nonzero(tumour):
        found.append(f"{outside} voxels of the tumour lie where all images are 0; shifted label?")
    return found


def _duplicates(examined: list[Examined]) -> list[CaseFinding]:
    """Cases with the same voxels.

    Under two patients that is an error: training and test would share a person.
    """
    first: dict[str, CaseFiles] = {}
    found = []
    for case in examined:
        files = case.files
        other = first.setdefault(case.voxels_sha256, files)
        if other is files:
            continue
        if other.patient_id == files.patient_id:
            text = (
                f"Cases {other.case_id} and {files.case_id} have the same FLAIR voxels; one scan?"
            )
            found.append(CaseFinding(files.case_id, "warning", text))
            continue
        text = (
            f"Case {files.case_id} (patient {files.patient_id}) has the same FLAIR voxels as case "
            f"{other.case_id} (patient {other.patient_id}): expected another patient. Keep one; "
            "public collections overlap."
        )
        found.append(CaseFinding(files.case_id, "error", text))
    return found


def _odd_one_out(examined: list[Examined]) -> list[CaseFinding]:
    """Cases whose voxel size differs from the most common one; their patches differ in scale."""
    edges = Counter(tuple(round(edge, 2) for edge in case.spacing_mm) for case in examined)
    if len(edges) < 2:
        return []
    usual = edges.most_common(1)[0][0]
    return [
        CaseFinding(
            case.files.case_id,
            "warning",
            f"Case {case.files.case_id}: voxels of {_edges(case.spacing_mm)}, most others have "
            f"{_edges(usual)}. Resample them to one size.",
        )
        for case in examined
        if tuple(round(edge, 2) for edge in case.spacing_mm) != usual
    ]


def _edges(values: Iterable[float]) -> str:
    return " x ".join(f"{value:.3g}" for value in values) + " mm"
