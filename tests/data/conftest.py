"""Small random cases in the layout of any data set."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import nibabel
import numpy as np
import pytest

from src.data.case import SEQUENCES, CaseFiles
from src.data.kinds import KINDS
from src.data.layouts import find_cases

# As BraTS stores it: X runs to the patient's left, Y to the back, Z up.
AFFINE = np.array([[-1.0, 0, 0, 0], [0, -1.0, 0, 239], [0, 0, 1.0, 0], [0, 0, 0, 1]])
CASE_IDS = {
    "brats2018": "Brats18_CBICA_AAB_1",
    "brats2019": "BraTS19_TCIA10_449_1",
    "brats2020": "BraTS20_Training_001",
    "brats2021": "BraTS2021_00000",
    "brats2023": "BraTS-GLI-00000-000",
    "brats2024": "BraTS-GLI-00005-100",
    "fets2022": "FeTS2022_01341",
    "ucsf-pdgm": "UCSF-PDGM-0004",
    "phantom": "Phantom_00021",
}

NOBODY = 65534

WriteCase = Callable[..., Path]


def volume_file(path: Path, voxels: np.ndarray, affine: np.ndarray = AFFINE) -> None:
    nibabel.save(nibabel.Nifti1Image(voxels, affine), path)


@pytest.fixture(scope="session")
def write_case() -> WriteCase:
    """write_case(root, kind, case_id): a folder with four random sequences and a label."""

    def write(
        root: Path,
        kind: str = "brats2021",
        case_id: str | None = None,
        *,
        seed: int = 0,
        shape: tuple[int, int, int] = (12, 11, 10),
        affine: np.ndarray = AFFINE,
        ending: str = ".nii.gz",
        labelled: bool = True,
    ) -> Path:
        case_id = case_id or CASE_IDS[kind]
        naming = KINDS[kind]
        folder = root / (case_id + naming.folder_tail)
        folder.mkdir(parents=True)
        rng = np.random.default_rng(seed)
        brain = np.zeros(shape, bool)
        brain[2:-2, 2:-2, 2:-2] = True
        for sequence in SEQUENCES:
            voxels = np.where(brain, rng.integers(1, 1000, shape), 0).astype(np.int16)
            volume_file(folder / (naming.stem(case_id, sequence) + ending), voxels, affine)
        if labelled:
            label = np.where(brain, rng.choice(sorted(naming.labels.values), shape), 0)
            volume_file(folder / (naming.stem(case_id) + ending), label.astype(np.uint8), affine)
        return folder

    return write


@pytest.fixture
def files(write_case, tmp_path) -> CaseFiles:
    """One good brats2021 case."""
    write_case(tmp_path / "data")
    return find_cases(tmp_path / "data", "brats2021")[0]


class OpenFolder(type(Path())):
    """A folder that every user may enter."""

    @contextmanager
    def closed(self, *folders: Path) -> Iterator[None]:
        """In the block this process is nobody, who may not enter these folders."""
        for folder in folders:
            folder.chmod(0)
        if os.geteuid() == 0:
            os.seteuid(NOBODY)
        try:
            yield
        finally:
            if os.getuid() == 0:
                os.seteuid(0)
            for folder in folders:
                folder.chmod(0o755)


@pytest.fixture
def as_nobody() -> Iterator[OpenFolder]:
    """A folder outside pytest's own, which only its user may enter; root may enter everything."""
    folder = OpenFolder(tempfile.mkdtemp(prefix="open-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)
