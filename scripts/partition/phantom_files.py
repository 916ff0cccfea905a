"""Synthetic patients as files: a folder like the data set's own, with labels by its convention."""

import csv
import shutil
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from nibabel.loadsave import save
from nibabel.nifti1 import Nifti1Image

from src.data.case import SEQUENCES
from src.data.kinds import KINDS
from src.data.layouts import Dataset, write_dataset_yaml
from src.data.phantom import ENHANCING, NECROSIS, OEDEMA, Phantom, brats_affine, make_phantom
from src.data.phantom_site import PhantomSite
from src.errors import InputError

CASE_NAMES = {
    "phantom": "Phantom_{:05d}",
    "brats2018": "Phantom_{:03d}_1",
    "brats2019": "Phantom_{:03d}_1",
    "brats2020": "Phantom_{:03d}",
    "brats2021": "Phantom_{:05d}",
    "fets2022": "Phantom_{:05d}",
    "brats2023": "Phantom-{:05d}-000",
    "brats2024": "Phantom-{:05d}-100",
}
GRADE_FOLDERS = ("brats2018", "brats2019")
COLUMNS = (
    "case_id",
    "scanner",
    "age",
    "sex",
    "kps",
    "grade",
    "survival_days",
    "extent_of_resection",
)


def write_site(
    folder: Path,
    *,
    site: PhantomSite,
    cases: int,
    seed: int,
    shape: tuple[int, int, int] = (64, 64, 64),
    spacing_mm: float = 2.75,
    kind: str = "phantom",
    first: int = 0,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Write `cases` patients of a site, numbered from `first`, with clinical.csv and dataset.yaml.

    Patient i depends on seed, site and i alone. All or nothing. InputError: folder exists.
    """
    if folder.exists():
        raise InputError(f"{folder} exists. Name another folder, or move it away.")
    if kind not in CASE_NAMES:
        raise InputError(f"No phantoms of kind {kind!r}; expected one of {', '.join(CASE_NAMES)}.")
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    rows = []
    for done in range(cases):
        phantom = make_phantom(
            [seed, zlib.crc32(site.name.encode()), done],
            site=site,
            shape=shape,
            spacing_mm=spacing_mm,
        )
        row = _write_case(part, first + done, phantom, spacing_mm, kind)
        rows.append({**row, "scanner": site.name})
        progress(done + 1, cases)
    with (part / "clinical.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    write_dataset_yaml(part, Dataset(kind, synthetic=True))
    part.rename(folder)


def _write_case(
    root: Path, number: int, phantom: Phantom, spacing_mm: float, kind: str
) -> dict[str, object]:
    """The case's folder; gives its clinical row."""
    case_id = CASE_NAMES[kind].format(number)
    grade = str(phantom.clinical["grade"])
    folder = root / grade / case_id if kind in GRADE_FOLDERS else root / case_id
    folder.mkdir(parents=True)
    names, labels = KINDS[kind], KINDS[kind].labels
    affine = brats_affine(phantom.label.shape, spacing_mm)
    for sequence, image in zip(SEQUENCES, phantom.images, strict=True):
        path = folder / f"{names.stem(case_id, sequence)}.nii.gz"
        save(Nifti1Image(image, affine), path)
    values = np.zeros(256, np.uint8)
    values[[NECROSIS, OEDEMA, ENHANCING]] = labels.core, labels.oedema, labels.enhancing
    label = Nifti1Image(values[phantom.label], affine)
    save(label, folder / f"{names.stem(case_id)}.nii.gz")
    return {"case_id": case_id, **phantom.clinical}
