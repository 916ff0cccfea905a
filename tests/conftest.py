"""What several rooms' tests share: one thread, and small synthetic sites made once."""

import os
import shutil
from pathlib import Path

import pytest

from tests import ceremonies
from tests.ceremonies import Clock
from tests.secure_aggregation import sealing

os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def phantom_sites(tmp_path_factory) -> dict[str, Path]:
    """Three synthetic sites with 5, 3 and 4 patients of 32^3 voxels."""
    from scripts.prepare import make_phantoms, site_folders

    folder = tmp_path_factory.mktemp("phantoms") / "sites"
    make_phantoms(folder, 3, "5,3,4", seed=1, size=32, spacing_mm=5.5)
    return site_folders(folder)


@pytest.fixture(scope="session")
def ceremony_held(tmp_path_factory) -> Path:
    """Workspaces after the ceremony of tests/ceremonies.py, made once."""
    folder = tmp_path_factory.mktemp("ceremony")
    ceremonies.hold(folder, Clock())
    return folder


@pytest.fixture
def clock() -> Clock:
    """The time at which the ceremony was held; a test may move it."""
    return Clock()


@pytest.fixture
def parties(ceremony_held, tmp_path) -> Path:
    """A folder with desk, aggregator, one, two; a test's own copy."""
    shutil.copytree(ceremony_held, tmp_path / "parties")
    return tmp_path / "parties"


@pytest.fixture(scope="session")
def ceremony_of_three(tmp_path_factory) -> Path:
    """The same with three sites and the default plan: encrypted, so with keys for the sums."""
    folder = tmp_path_factory.mktemp("encrypted")
    ceremonies.hold(folder, Clock(), ("one", "two", "three"), "plan.yaml")
    return folder


@pytest.fixture
def encrypted_parties(ceremony_of_three, tmp_path) -> Path:
    """A folder with desk, aggregator, one, two, three; a test's own copy."""
    shutil.copytree(ceremony_of_three, tmp_path / "encrypted")
    return tmp_path / "encrypted"


@pytest.fixture
def three(tmp_path):
    """An encrypted federation in this process whose first roster is closed: three sites."""
    yield from _gathered(tmp_path, sealing.THREE)


@pytest.fixture
def four(tmp_path):
    """The same of four."""
    yield from _gathered(tmp_path, sealing.FOUR)


def _gathered(folder: Path, cases: dict[str, int]):
    federation = sealing.Federation(folder, cases)
    federation.gather()
    yield federation
    federation.close()
