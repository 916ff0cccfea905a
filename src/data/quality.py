"""Quality control: one pass over a data set's cases, before anything is built on them.

Errors refuse a case; warnings are for somebody who knows the patient.
"""

from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from src.data import anatomy
from src.data.across_cases import compared
from src.data.case import SEQUENCES, Case, CaseFiles, read_case
from src.data.examined import CaseFinding, Examined, edges_mm
from src.data.intensities import same
from src.data.layouts import scan_cases
from src.data.regions import REGIONS
from src.data.voxel_identity import prints
from src.errors import CaseError

SMALLEST_TUMOUR_ML = 0.5
SMALLEST_BRAIN_MM = 80.0  # edge of the brain's box; adults measure about 140 x 170 x 130 mm
SPACING_MM = (0.4, 4.0)
LARGEST_FILLED = 0.9  # share of voxels that are not 0; skull-stripped images have background
LARGEST_OUTSIDE = 0.001  # share of the tumour outside the brain

Progress = Callable[[int, int], None]


def silent(done: int, total: int) -> None:
    """A `Progress` that shows nothing."""


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
    whole = [case for case in examined if case.prints]
    return own + compared(whole)


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
    texts = [
        *_brain_warnings(case, brain),
        *_alike_warnings(case),
        *_label_warnings(case, brain),
        *anatomy.warnings_of(case, brain),
    ]
    return Examined(
        files,
        tuple(
            CaseFinding(case.case_id, "warning", f"Case {case.case_id}: {text}") for text in texts
        ),
        tuple(prints(volume, case.affine).tobytes() for volume in case.images),
        case.spacing_mm,
        _volumes_ml(case),
        () if case.label is None else tuple(np.unique(case.label[case.label > 0]).tolist()),
    )


def _volumes_ml(case: Case) -> dict[str, float] | None:
    if case.regions is None:
        return None
    voxel_ml = abs(float(np.linalg.det(case.affine[:3, :3]))) / 1000
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
            f"{edges_mm(case.spacing_mm)}; is the header right?"
        )
    box = [
        np.ptp(np.flatnonzero(brain.any(axis=others))) + 1 for others in ((1, 2), (0, 2), (0, 1))
    ]
    edges = [float(count) * edge for count, edge in zip(box, case.spacing_mm, strict=True)]
    if min(edges) < SMALLEST_BRAIN_MM:
        found.append(
            f"expected a brain of at least {SMALLEST_BRAIN_MM:g} mm along each axis, found "
            f"{edges_mm(edges)}; is it cut off?"
        )
    if brain.mean() > LARGEST_FILLED:
        found.append(
            f"expected background of value 0, found {brain.mean():.0%} of the voxels not 0; is the "
            "skull removed?"
        )
    return found


def _alike_warnings(case: Case) -> list[str]:
    """Two sequences that are more alike than those of any case known, if not the same."""
    if (alike := same(case.images)) is None:
        return []
    one, other, correlation = alike
    return [
        f"{SEQUENCES[one]} and {SEQUENCES[other]} are nearly one image (correlation "
        f"{correlation:.3f} within the brain): was one of them made from the other?"
    ]


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
